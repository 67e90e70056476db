"""The service's parts in one process and one thread, so that what each costs can be told: nothing overlaps, nothing is started.

Intake, worker, engine, store and delivery are the daemon's own; the decode server and the model child, which are processes of their own
there, are called here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.homes import SETTLE_SECONDS, delivered
from daemon.assembly import make_intake, make_worker
from daemon.engine.engine import Engine, Recognizer
from daemon.engine.protocol import Cancel, Completed, Exhausted, Progress, Reply, Transcribe, Unreadable
from daemon.intake import spool
from daemon.store.connection import Store
from medasr.audio import AudioLimits, normalize

if TYPE_CHECKING:
    from benchmarks.stopwatch import Stopwatch
    from daemon.config import Config
    from daemon.decode.server import DecodeLimits
    from medasr.types import AudioFacts

INTAKE, DECODE, VOICE, TEXTS, REST = (
    "intake",
    "decoding and resampling",
    "voice activity",
    "texts, guards, assembling",
    "everything else",
)


class _Decoder:
    """What the decode server's child does."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch
        self.seconds = 0.0  #: of audio so far

    def decode(self, source: int, sink: int, limits: DecodeLimits) -> AudioFacts:
        with self._stopwatch.running(DECODE):
            accepted = AudioLimits(max_seconds=limits.max_seconds, accept_truncated=limits.accept_truncated)
            facts = normalize(source, sink, accepted)
        self.seconds += facts.seconds
        return facts


class _Engine:
    """What the model child does, a step at each poll."""

    healthy = True

    def __init__(self, recognizer: Recognizer, batch_size: int) -> None:
        self.in_flight: set[str] = set()
        self._replies: list[Reply] = []
        self._engine = Engine(recognizer, batch_size, self._replies.append)

    def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
        self.in_flight.add(recording)
        self._engine.accept(Transcribe(id=recording, pcm=pcm, urgent=urgent, terms=terms))

    def cancel(self, recording: str) -> None:
        self.in_flight.discard(recording)
        self._engine.accept(Cancel(id=recording))

    def poll(self, _timeout: float = 0.0) -> Sequence[Progress | Completed]:
        if not self._engine.idle:
            self._engine.step()
        replies, self._replies[:] = list(self._replies), []
        if any(isinstance(reply, Exhausted | Unreadable) for reply in replies):
            raise RuntimeError("memory ran out, or samples are gone")
        events = [reply for reply in replies if isinstance(reply, Progress | Completed)]
        self.in_flight -= {event.id for event in events if isinstance(event, Completed)}
        return events


def transcribe_here(
    config: Config, recognizer: Recognizer, batch_size: int, recordings: Sequence[Path], stopwatch: Stopwatch
) -> float:
    """Drop recordings into the inbox of an empty home, and go on until all are delivered; return how many seconds of audio they are.

    The stopwatch stands while files settle.
    """
    spool.prepare(config.paths.spool)
    store = Store(config.paths.database, writable=True)
    intake = make_intake(config, store, threading.Event(), lambda: None)
    decoder = _Decoder(stopwatch)
    worker = make_worker(config, store, decoder, _Engine(_timed(recognizer, stopwatch), batch_size))
    for number, path in enumerate(recordings):
        (config.paths.inbox / f"{number:05d}{path.suffix}").write_bytes(path.read_bytes())
    try:
        taken = 0
        while taken < len(recordings):
            time.sleep(SETTLE_SECONDS / 2)
            with stopwatch.running(INTAKE):
                taken += intake.turn()
        with stopwatch.running(REST):
            while worker.turn(0.0) or not worker.idle:
                pass
    finally:
        intake.close()
        store.close()
    if (count := delivered(config)[0]) != len(recordings):
        raise RuntimeError(f"{count} of {len(recordings)} recordings were delivered")
    return decoder.seconds


def _timed(recognizer: Recognizer, stopwatch: Stopwatch) -> Recognizer:
    return Recognizer(
        transcriber=recognizer.transcriber,
        plan=stopwatch.timed(VOICE, recognizer.plan),
        assemble=stopwatch.timed(TEXTS, recognizer.assemble),
    )
