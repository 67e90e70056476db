"""What a version has transcribed, and how that is queued again for the one that serves now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from daemon.store import jobs
from daemon.store.schema import Job, ModelVersionRow, Recording, TranscriptRow
from daemon.store.states import JobState

#: Only what ended with a transcript is queued again; a quarantined recording waits for a person.
_TRANSCRIBED = (JobState.DONE, JobState.NEEDS_REVIEW, JobState.NO_SPEECH)


@dataclass(frozen=True, kw_only=True)
class Affected:
    """A transcript that a version made."""

    recording_id: str
    name: str
    verdict: str
    precision: str
    created_at: datetime
    latest: bool  #: no other version has transcribed the recording since


def affected(session: Session, base_id: str, adapter_sha256: str, *, limit: int | None = None) -> list[Affected]:
    """Return the transcripts of a version, newest first; of the stock weights where the hash is empty."""
    query = (
        select(TranscriptRow, Recording.name, ModelVersionRow.precision, _latest().label("latest"))
        .join(ModelVersionRow, ModelVersionRow.id == TranscriptRow.model_version_id)
        .join(Recording, Recording.id == TranscriptRow.recording_id)
        .where(_made_by(base_id, adapter_sha256))
        .order_by(TranscriptRow.id.desc())
    )
    return [
        Affected(
            recording_id=row.recording_id,
            name=name,
            verdict=row.verdict,
            precision=precision,
            created_at=row.created_at,
            latest=row.id == latest,
        )
        for row, name, precision, latest in session.execute(query.limit(limit))
    ]


def queue_again(session: Session, base_id: str, adapter_sha256: str, *, actor: str, now: datetime) -> int:
    """Give each recording whose latest transcript a version made a new job; one that is in work, waits or is quarantined has none.

    Return how many.
    """
    other = Job.__table__.alias()
    last_job = select(func.max(other.c.id)).where(other.c.recording_id == TranscriptRow.recording_id).scalar_subquery()
    query = (
        select(TranscriptRow.recording_id)
        .join(ModelVersionRow, ModelVersionRow.id == TranscriptRow.model_version_id)
        .join(Job, Job.id == last_job)
        .where(_made_by(base_id, adapter_sha256), TranscriptRow.id == _latest(), Job.state.in_(_TRANSCRIBED))
        .order_by(TranscriptRow.id)
    )
    found: Sequence[str] = session.scalars(query).all()
    for recording_id in found:
        jobs.again(session, recording_id, actor=actor, now=now)
    return len(found)


def _made_by(base_id: str, adapter_sha256: str) -> ColumnElement[bool]:
    """Weights tell a version apart; without an adapter, the base's name does."""
    same = ModelVersionRow.adapter_sha256 == adapter_sha256
    return same if adapter_sha256 else and_(same, ModelVersionRow.base_id == base_id)


def _latest() -> ColumnElement[int]:
    """The newest transcript of the same recording."""
    other = TranscriptRow.__table__.alias()
    query = select(func.max(other.c.id)).where(other.c.recording_id == TranscriptRow.recording_id)
    return query.scalar_subquery()
