"""A worker over a real store and real folders, with a decoder and an engine that do what a test tells them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from daemon.decode.server import DecodeLimits
from daemon.delivery import Places
from daemon.engine.bias import Bias
from daemon.engine.protocol import Completed, EngineEvent, EngineFailure, Failed
from daemon.intake import spool
from daemon.outbox import Folder
from daemon.pulse import Pulse
from daemon.store import jobs, recordings
from daemon.store.connection import Store
from daemon.store.schema import Job
from daemon.store.states import JobState, job_counts
from daemon.worker import Worker, WorkerOptions
from medasr.lexicon import load_lexicon
from medasr.quality import QualityThresholds
from medasr.types import AudioFacts, VerdictKind
from tests.support.stores import MODEL, NOW, copy, open_store, result

FACTS = AudioFacts(
    container="WAV",
    encoding="PCM_16",
    sample_rate=16000,
    channels=1,
    frames=16000,
    declared_frames=16000,
    seconds=1.0,
    rms_dbfs=-20.0,
    peak_dbfs=-3.0,
    dc_offset=0.0,
    clipped_share=0.0,
    snr_db=30.0,
    gain_db=0.0,
)
NO_LISTS = Bias()
LIMITS = DecodeLimits(max_seconds=60, accept_truncated=False, memory_bytes=2**30, seconds_floor=10, speed_floor=4)


class ScriptedDecoder:
    """Writes a second of silence, unless a test put an error first; one error for each decode."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.decoded = 0
        self.meanwhile: Callable[[], None] | None = None  # happens during the next decode

    def decode(self, source: int, sink: int, limits: DecodeLimits) -> AudioFacts:
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            happening()
        if self.errors:
            raise self.errors.pop(0)
        self.decoded += 1
        os.write(sink, bytes(64_000))
        return FACTS


class ScriptedEngine:
    """Answers every recording at the next poll: with a text, or as ``answer`` says."""

    def __init__(self) -> None:
        self.queue: dict[str, Path] = {}
        self.urgent: set[str] = set()
        self.terms: dict[str, str] = {}
        self.healthy = True
        self.silent = False  # takes recordings and says nothing
        self.answer: Callable[[str], EngineEvent] = heard("The patient takes ibuprofen.")
        self.most_in_flight = 0

    @property
    def in_flight(self) -> set[str]:
        return set(self.queue)

    def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
        self.queue[recording] = pcm
        self.urgent |= {recording} if urgent else set()
        self.terms[recording] = terms
        self.most_in_flight = max(self.most_in_flight, len(self.queue))

    def cancel(self, recording: str) -> None:
        self.queue.pop(recording, None)

    def poll(self, timeout: float = 0.0) -> list[EngineEvent]:
        if self.silent:
            return []
        ids = list(self.queue)
        self.queue.clear()
        return [self.answer(number) for number in ids]


def heard(*texts: str, verdict: VerdictKind = VerdictKind.OK) -> Callable[[str], EngineEvent]:
    """The answer of an engine that heard these segments."""

    def answer(number: str) -> EngineEvent:
        transcript = result(*texts, verdict=verdict).transcript
        return Completed(id=number, transcript=transcript, version=MODEL, device="cpu", batch_size=8, seconds=0.5)

    return answer


def failed(kind: EngineFailure, *, blame: bool) -> Callable[[str], EngineEvent]:
    """The answer of an engine that could not."""
    return lambda number: Failed(id=number, blame=blame, kind=kind)


@dataclass(kw_only=True)
class Workbench:
    """Everything a test of the worker looks at."""

    store: Store
    folder: Path
    worker: Worker
    decoder: ScriptedDecoder
    engine: ScriptedEngine
    clock: list[datetime] = field(default_factory=lambda: [NOW])

    def drop(self, *names: str, urgent: bool = False, label: str = "") -> list[str]:
        """Put recordings into spool and store, as the intake does; return their ids."""
        copies = []
        for number, name in enumerate(names):
            content = f"bytes of {name}".encode()
            identifier = f"{number:08x}" + os.urandom(12).hex()
            path = spool.recording_path(self.worker.options.places.spool, identifier)
            path.write_bytes(content)
            path.chmod(0o600)
            sha256 = hashlib.sha256(content).hexdigest()
            entry = copy(name, inode=path.stat().st_ino, id=identifier, urgent=urgent, label=label)
            copies.append(replace(entry, sha256=sha256, size=len(content)))
        with self.store.write() as session:
            recordings.receive(session, copies, now=self.clock[0])
        return [item.id for item in copies]

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.worker.turn(0)

    def advance(self, **delta: float) -> None:
        self.clock[0] += timedelta(**delta)

    def job(self, recording_id: str) -> Job:
        with self.store.read() as session:
            return jobs.of_recording(session, recording_id)

    def states(self) -> dict[JobState, int]:
        return {state: count for state, count in job_counts(self.store.path).items() if count}

    def names(self, folder: str) -> list[str]:
        path = self.folder / folder
        return sorted(item.name for item in path.iterdir()) if path.exists() else []


def make_workbench(
    folder: Path, *, max_attempts: int = 3, backlog_seconds: float = 100.0, bias: Bias = NO_LISTS
) -> Workbench:
    """A workbench in an empty folder."""
    store = open_store(folder)
    spool.prepare(folder / "spool")
    (folder / "samples").mkdir()
    decoder, engine, clock = ScriptedDecoder(), ScriptedEngine(), [NOW]
    worker = Worker(
        store=store,
        decoder=decoder,
        engine=engine,
        lexicon=load_lexicon(),
        options=WorkerOptions(
            places=Places(
                spool=folder / "spool",
                outbox=Folder(path=folder / "outbox"),
                quarantine=Folder(path=folder / "quarantine"),
            ),
            samples=folder / "samples",
            max_attempts=max_attempts,
            retry=timedelta(seconds=30),
            backlog_seconds=backlog_seconds,
            limits=LIMITS,
            quality=QualityThresholds(),
            bias=bias,
            owner="test:1",
        ),
        pulse=Pulse(),
        now=lambda: clock[0],
    )
    return Workbench(store=store, folder=folder, worker=worker, decoder=decoder, engine=engine, clock=clock)
