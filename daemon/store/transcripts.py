"""Transcripts with their segments and medical terms: stored in one transaction, read, searched and counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, joinedload, selectinload

from daemon.store import jobs
from daemon.store.schema import ModelVersionRow, Recording, SegmentRow, TermHitRow, TranscriptRow
from daemon.store.states import JobState
from medasr.types import ModelVersion, TermHit, Transcript, VerdictKind

#: So many matches, the newest, are ranked: what thousands say tells little about which is best, and ranking takes 1.5 µs for each.
RANKED = 10_000

_END_STATE = {
    VerdictKind.OK: JobState.DONE,
    VerdictKind.NEEDS_REVIEW: JobState.NEEDS_REVIEW,
    VerdictKind.NO_SPEECH: JobState.NO_SPEECH,
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything the work on one recording brought."""

    transcript: Transcript
    terms: tuple[TermHit, ...]
    model: ModelVersion
    device: str
    fallback: str | None
    engine_seconds: float


def complete(session: Session, job_id: int, recording_id: str, result: Result, *, now: datetime) -> None:
    """Store a result and end its job. Doing so twice is harmless: one transcript for each recording and model version."""
    version = model_version(session, result.model, now=now)
    known = select(TranscriptRow.id).where(
        TranscriptRow.recording_id == recording_id, TranscriptRow.model_version_id == version.id
    )
    if session.scalar(known) is None:
        row = _row(recording_id, version, result, now)
        session.add(row)
        session.flush()
        _index(session, row)
    transcript = result.transcript
    jobs.finish(
        session,
        job_id,
        _END_STATE[transcript.verdict.kind],
        now=now,
        segments=len(transcript.segments),
        terms=len(result.terms),
        speech_seconds=round(transcript.speech_seconds, 3),
    )


def _index(session: Session, row: TranscriptRow) -> None:
    """Enter the words into the full-text index; not by a trigger, which ``trusted_schema=OFF`` keeps from virtual tables."""
    statement = text("INSERT INTO transcript_search(rowid, text) VALUES (:id, :text)")
    session.execute(statement, {"id": row.id, "text": row.text})


def model_version(session: Session, model: ModelVersion, *, now: datetime) -> ModelVersionRow:
    """Return the row of a model version, made at its first use."""
    values = asdict(model) | {"adapter_sha256": model.adapter_sha256 or ""}
    found = session.scalar(select(ModelVersionRow).filter_by(**values))
    if found is None:
        found = ModelVersionRow(**values, first_used_at=now)
        session.add(found)
        session.flush()
    return found


def _row(recording_id: str, version: ModelVersionRow, result: Result, now: datetime) -> TranscriptRow:
    transcript = result.transcript
    return TranscriptRow(
        recording_id=recording_id,
        model_version_id=version.id,
        text=transcript.text,
        text_sha256=hashlib.sha256(transcript.text.encode()).hexdigest(),
        language=transcript.language,
        verdict=transcript.verdict.kind,
        concerns=[asdict(concern) for concern in transcript.verdict.concerns],
        speech=[[span.start, span.end] for span in transcript.speech],
        speech_seconds=transcript.speech_seconds,
        device=result.device,
        fallback=result.fallback,
        engine_seconds=result.engine_seconds,
        created_at=now,
        segments=[
            SegmentRow(
                position=segment.index,
                start=segment.start,
                end=segment.end,
                text=segment.text,
                mean_log_probability=segment.mean_log_probability,
                no_speech_probability=segment.no_speech_probability,
                compression_ratio=segment.compression_ratio,
                concerns=list(segment.concerns),
                biased=list(segment.biased),
            )
            for segment in transcript.segments
        ],
        terms=[TermHitRow(**asdict(hit)) for hit in result.terms],
    )


def latest(session: Session, recording_id: str) -> TranscriptRow | None:
    """Return the newest transcript of a recording with all its parts, or None."""
    query = (
        select(TranscriptRow)
        .where(TranscriptRow.recording_id == recording_id)
        .options(
            joinedload(TranscriptRow.model_version),
            selectinload(TranscriptRow.segments),
            selectinload(TranscriptRow.terms),
            joinedload(TranscriptRow.recording).joinedload(Recording.facts),
        )
    )
    return session.scalars(query.order_by(TranscriptRow.id.desc()).limit(1)).first()


@dataclass(frozen=True, kw_only=True)
class Found:
    """A transcript that matches a search, with the words around the match."""

    recording_id: str
    name: str
    label: str
    created_at: datetime
    excerpt: str  #: matches stand between \x02 and \x03


def search(session: Session, query: str, *, limit: int) -> list[Found]:
    """Return the best matches for the words in ``query``, best first; all words must occur, ``"a phrase"`` as it stands.

    Of more than :data:`RANKED` matches the newest compete.
    """
    expression = _match_expression(query)
    if not expression:
        return []
    statement = text(
        "SELECT t.recording_id, r.name, r.label, t.created_at, snippet(transcript_search, 0, char(2), char(3), ' … ', 24) AS excerpt "
        "FROM transcript_search JOIN transcripts t ON t.id = transcript_search.rowid JOIN recordings r ON r.id = t.recording_id "
        "WHERE transcript_search MATCH :expression AND transcript_search.rowid > coalesce((SELECT rowid FROM transcript_search "
        "WHERE transcript_search MATCH :expression ORDER BY rowid DESC LIMIT 1 OFFSET :ranked), 0) ORDER BY rank LIMIT :limit"
    )
    rows = session.execute(statement, {"expression": expression, "limit": limit, "ranked": RANKED}).mappings()
    return [Found(**{**row, "created_at": datetime.fromisoformat(row["created_at"])}) for row in rows]


def _match_expression(query: str) -> str:
    """FTS5's syntax is not offered: every word or phrase is quoted, so that no character of a query means anything."""
    parts = [part for position, part in enumerate(query.split('"')) if part.strip() for part in _terms(part, position)]
    return " ".join(f'"{part}"' for part in parts)


def _terms(part: str, position: int) -> list[str]:
    phrase = position % 2 == 1
    cleaned = part.replace("\0", " ")
    return [cleaned.strip()] if phrase else cleaned.split()


@dataclass(frozen=True, kw_only=True)
class TermCount:
    """How often, in how many recordings, and between when a term was heard."""

    term: str
    category: str
    hits: int
    recordings: int
    first: datetime
    last: datetime
    mean_confidence: float


def term_counts(
    session: Session,
    *,
    category: str | None = None,
    since: timedelta | None = None,
    now: datetime,
    limit: int | None = None,
) -> list[TermCount]:
    """Return the medical terms heard, most frequent first."""
    recordings = func.count(func.distinct(TranscriptRow.recording_id))
    query = (
        select(
            TermHitRow.term,
            TermHitRow.category,
            func.count().label("hits"),
            recordings.label("recordings"),
            func.min(TranscriptRow.created_at).label("first"),
            func.max(TranscriptRow.created_at).label("last"),
            func.avg(TermHitRow.confidence).label("mean_confidence"),
        )
        .join(TranscriptRow, TranscriptRow.id == TermHitRow.transcript_id)
        .group_by(TermHitRow.term, TermHitRow.category)
        .order_by(func.count().desc(), TermHitRow.term)
    )
    if category:
        query = query.where(TermHitRow.category == category)
    if since:
        query = query.where(TranscriptRow.created_at >= now - since)
    return [TermCount(**row) for row in session.execute(query.limit(limit)).mappings()]


def occurrences(session: Session, term: str, *, limit: int) -> Sequence[tuple[TermHitRow, Recording]]:
    """Return where a term was heard, newest first."""
    query = (
        select(TermHitRow, Recording)
        .join(TranscriptRow, TranscriptRow.id == TermHitRow.transcript_id)
        .join(Recording, Recording.id == TranscriptRow.recording_id)
        .where(func.lower(TermHitRow.term) == term.lower())
        .order_by(TranscriptRow.id.desc(), TermHitRow.position)
    )
    return [(hit, recording) for hit, recording in session.execute(query.limit(limit))]
