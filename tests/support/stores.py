"""A real store in a temporary folder, and what to put into it."""

from __future__ import annotations

import functools
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from daemon.store import migration
from daemon.store.connection import Store
from daemon.store.recordings import Copy
from daemon.store.transcripts import Result
from medasr.types import Concern, ModelVersion, Segment, SpeechSpan, TermHit, Transcript, Verdict, VerdictKind

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = ModelVersion(base_id="tiny", base_revision="1", base_sha256="ab" * 32, adapter_sha256=None, precision="fp32")


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "medasr.db")
        migration.upgrade(path, Path(folder, "backups"))
        return path.read_bytes()


def open_store(folder: Path) -> Store:
    """Open a migrated, empty database for writing."""
    path = folder / "medasr.db"
    path.write_bytes(_migrated())
    return Store(path, writable=True)


def copy(
    name: str = "visit.wav",
    *,
    content: str = "",
    inode: int = 1,
    label: str = "",
    id: str = "",  # noqa: A002
    urgent: bool = False,
) -> Copy:
    """A durable copy as the intake hands it over; ``content`` stands for the bytes."""
    return Copy(
        id=id or uuid4().hex,
        sha256=(content or name).encode().hex().rjust(64, "0")[-64:],
        size=100,
        name=name,
        name_bytes=name.encode(),
        stem=Path(name).stem,
        label=label,
        device=1,
        inode=inode,
        mtime_ns=0,
        urgent=urgent,
    )


def result(
    *texts: str, terms: tuple[TermHit, ...] = (), verdict: VerdictKind = VerdictKind.OK, model: ModelVersion = MODEL
) -> Result:
    """A transcript of one segment for each text, two seconds each."""
    segments = tuple(
        Segment(
            index=number,
            start=2.0 * number,
            end=2.0 * number + 2,
            text=text,
            mean_log_probability=-0.2,
            no_speech_probability=0.01,
            compression_ratio=1.1,
        )
        for number, text in enumerate(texts)
    )
    concerns = (Concern(code="LOOP", value=3.0, start=0.0, end=2.0),) if verdict is VerdictKind.NEEDS_REVIEW else ()
    transcript = Transcript(
        text=" ".join(texts),
        language="en",
        segments=segments,
        speech=(SpeechSpan(start=0.0, end=2.0 * len(texts)),) if texts else (),
        verdict=Verdict(kind=verdict, concerns=concerns),
    )
    return Result(transcript=transcript, terms=terms, model=model, device="cpu", fallback=None, engine_seconds=0.5)


def hit(term: str, category: str, position: int, *, segment: int = 0) -> TermHit:
    """A term heard at a position of the text."""
    return TermHit(
        term=term,
        category=category,
        surface=term,
        segment=segment,
        position=position,
        length=len(term),
        start=0.0,
        end=1.0,
        confidence=0.8,
    )


def later(**delta: float) -> datetime:
    """Some time after :data:`NOW`."""
    return NOW + timedelta(**delta)
