"""A store as it looks after years: 100,000 transcripts with everything that belongs to them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from benchmarks.figures import tell
from benchmarks.lexicon import consultation
from daemon.store.connection import Store
from daemon.store.schema import (
    Arrival,
    AudioFactsRow,
    AuditRow,
    Job,
    ModelVersionRow,
    Recording,
    SegmentRow,
    TermHitRow,
    TranscriptRow,
)
from daemon.store.states import JobState
from medasr.lexicon import find_terms, load_lexicon
from medasr.types import Segment, TermHit

#: Different consultations; they come again and again, each time with another number in their last sentence.
CONSULTATIONS = 1_000
CHARACTERS = 600
SEGMENTS = 4
#: Recordings entered in one transaction.
BATCH = 5_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ACTIONS = ("received", "decoding", "transcribing", "done")

Rows = dict[Any, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class _Consultation:
    segments: tuple[Segment, ...]
    hits: tuple[TermHit, ...]

    def text(self, number: int) -> str:
        return " ".join(segment.text for segment in self.segments) + f" This was visit number {number}."


def fill(store: Store, transcripts: int) -> None:
    """Enter so many transcripts into an empty store, with recordings, jobs, segments, term hits, audit trail and full-text index."""
    consultations = _consultations()
    for first in range(0, transcripts, BATCH):
        tell(f"store: {first:,} of {transcripts:,} transcripts")
        with store.write() as session:
            if first == 0:
                session.execute(insert(ModelVersionRow), [_model_version()])
            numbers = range(first + 1, min(first + BATCH, transcripts) + 1)
            for table, rows in _rows(numbers, consultations).items():
                session.execute(insert(table), rows)
            _index(session, numbers)


def _index(session: Session, numbers: range) -> None:
    session.execute(
        text(
            "INSERT INTO transcript_search(rowid, text) SELECT id, text FROM transcripts WHERE id BETWEEN :first AND :last"
        ),
        {"first": numbers[0], "last": numbers[-1]},
    )


def _consultations() -> list[_Consultation]:
    generator = random.Random(7)
    lexicon = load_lexicon()
    made = []
    for _ in range(CONSULTATIONS):
        size = CHARACTERS // SEGMENTS
        pieces = [consultation(size, list(lexicon.terms), generator).strip() for _ in range(SEGMENTS)]
        segments = tuple(
            Segment(
                index=index,
                start=10.0 * index,
                end=10.0 * index + 10,
                text=piece,
                mean_log_probability=-0.2,
                no_speech_probability=0.01,
                compression_ratio=1.4,
            )
            for index, piece in enumerate(pieces)
        )
        made.append(_Consultation(segments=segments, hits=tuple(find_terms(lexicon, segments, " ".join(pieces)))))
    return made


def _rows(numbers: range, consultations: Sequence[_Consultation]) -> Rows:
    rows: Rows = {
        table: [] for table in (Recording, Arrival, AudioFactsRow, Job, TranscriptRow, SegmentRow, TermHitRow, AuditRow)
    }
    for number in numbers:
        for table, row in _of_recording(number, consultations[number % len(consultations)]):
            rows[table].append(row)
    return rows


def _of_recording(number: int, heard: _Consultation) -> Iterator[tuple[Any, dict[str, Any]]]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    recording, moment = digest[:32], FIRST + timedelta(minutes=5 * number)
    name = f"visit-{number}"
    dropped = {"name": f"{name}.wav", "name_bytes": f"{name}.wav".encode(), "label": "", "size": 1_280_044}
    yield (
        Recording,
        {"id": recording, "sha256": digest, "output_name": name, "sidecar": None, "received_at": moment, **dropped},
    )
    identity = {"device": 1, "inode": number, "mtime_ns": number, "duplicate": False, "warning": None}
    yield Arrival, {"recording_id": recording, "arrived_at": moment, **identity, **dropped}
    yield AudioFactsRow, {"recording_id": recording, **_FACTS}
    yield Job, _job(number, recording, moment)
    yield TranscriptRow, _transcript(number, recording, heard, moment)
    for segment in heard.segments:
        values = {name: value for name, value in vars(segment).items() if name != "index"}
        yield SegmentRow, {"transcript_id": number, "position": segment.index, **values, "concerns": []}
    for hit in heard.hits:
        yield TermHitRow, {"transcript_id": number, **{field: getattr(hit, field) for field in _HIT_FIELDS}}
    for step, action in enumerate(ACTIONS):
        line = {"at": moment + timedelta(seconds=step), "actor": "daemon", "action": action}
        yield AuditRow, {**line, "recording_id": recording, "detail": {"job": number}, "chain": digest}


_HIT_FIELDS = ("position", "length", "term", "category", "surface", "segment", "start", "end", "confidence")
_FACTS: dict[str, Any] = {
    "container": "WAV",
    "encoding": "PCM_16",
    "sample_rate": 16_000,
    "channels": 1,
    "frames": 640_000,
    "declared_frames": 640_000,
    "seconds": 40.0,
    "rms_dbfs": -24.0,
    "peak_dbfs": -6.0,
    "dc_offset": 0.0,
    "clipped_share": 0.0,
    "snr_db": 25.0,
    "gain_db": 4.0,
    "warnings": [],
}


def _model_version() -> dict[str, Any]:
    version = {"base_id": "whisper-base", "base_revision": "1.0.0", "base_sha256": "0" * 64, "adapter_sha256": ""}
    return {"id": 1, **version, "precision": "fp32", "audio_context": "full", "first_used_at": FIRST}


def _job(number: int, recording: str, moment: datetime) -> dict[str, Any]:
    """Nearly all are done; one in fifty wants a person."""
    review = number % 50 == 0
    return {
        "id": number,
        "recording_id": recording,
        "state": JobState.NEEDS_REVIEW if review else JobState.DONE,
        "attempts": 1,
        "not_before": moment,
        "created_at": moment,
        "updated_at": moment + timedelta(minutes=1),
        "delivered_at": moment + timedelta(minutes=1),
    }


def _transcript(number: int, recording: str, heard: _Consultation, moment: datetime) -> dict[str, Any]:
    words = heard.text(number)
    return {
        "id": number,
        "recording_id": recording,
        "model_version_id": 1,
        "text": words,
        "text_sha256": hashlib.sha256(words.encode()).hexdigest(),
        "language": "en",
        "verdict": "needs_review" if number % 50 == 0 else "ok",
        "concerns": [],
        "speech": [[0.0, 40.0]],
        "speech_seconds": 40.0,
        "device": "cpu",
        "fallback": None,
        "engine_seconds": 2.0,
        "created_at": moment + timedelta(minutes=1),
    }
