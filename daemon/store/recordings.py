"""Recordings and the arrivals that brought them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from daemon.store import audit
from daemon.store.schema import Arrival, AudioFactsRow, Job, Recording
from daemon.store.states import IN_WORK, WAITING, JobState, Priority
from medasr.errors import FatalError
from medasr.types import AudioFacts

#: SQLite's integers are signed; inode and device numbers of some file systems use all 64 bits.
_SIGNED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A durable copy of a file that was in the inbox, not yet known to the store."""

    id: str  #: uuid4, 32 hex digits
    sha256: str
    size: int
    name: str
    name_bytes: bytes
    stem: str  #: safe name for the output files
    label: str
    device: int
    inode: int
    mtime_ns: int
    sidecar: dict[str, Any] | None = None
    warning: str | None = None
    urgent: bool = False  #: from the urgent folder


class Reception(StrEnum):
    """What a copy turned out to be."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the bytes are known: the arrival is linked to the first recording
    REPEATED = "repeated"  # the very file is known: we crashed after the commit, before its removal


def receive(session: Session, copies: Iterable[Copy], *, now: datetime) -> dict[str, Reception]:
    """Given durable copies, enter them: recording, arrival, job and audit line. Return what each copy's id turned out to be.

    Only a NEW copy is kept by its id; the bytes of the others belong to the recording that :func:`ids_by_content` names.
    """
    return {copy.id: _receive(session, copy, now) for copy in copies}


def _receive(session: Session, copy: Copy, now: datetime) -> Reception:
    known = session.scalar(select(Recording).where(Recording.sha256 == copy.sha256))
    if known is None:
        _enter(session, copy, now)
        return Reception.NEW
    if known.sidecar is None:
        known.sidecar = copy.sidecar  # metadata that came late must not go with the file beside it
    if copy.urgent:
        _hasten(session, known.id, now)
    if _already_arrived(session, copy, known.id):
        return Reception.REPEATED
    session.add(_arrival(copy, known.id, now, duplicate=True))
    audit.record(session, now=now, actor="daemon", action="duplicate", recording_id=known.id)
    return Reception.DUPLICATE


def ids_by_content(session: Session, sha256s: Iterable[str]) -> dict[str, str]:
    """Return the ids of the recordings with these contents, by sha256."""
    query = select(Recording.sha256, Recording.id).where(Recording.sha256.in_(list(sha256s)))
    return {row.sha256: row.id for row in session.execute(query)}


def _enter(session: Session, copy: Copy, now: datetime) -> None:
    session.add(
        Recording(
            id=copy.id,
            sha256=copy.sha256,
            size=copy.size,
            name=copy.name,
            name_bytes=copy.name_bytes,
            label=copy.label,
            output_name=_free_output_name(session, copy.stem, copy.id),
            sidecar=copy.sidecar,
            received_at=now,
        )
    )
    session.flush()
    session.add(_arrival(copy, copy.id, now, duplicate=False))
    session.add(
        Job(
            recording_id=copy.id,
            state=JobState.RECEIVED,
            priority=Priority.URGENT if copy.urgent else Priority.ORDINARY,
            attempts=0,
            not_before=now,
            created_at=now,
            updated_at=now,
        )
    )
    audit.record(session, now=now, actor="daemon", action="received", recording_id=copy.id, size=copy.size)


def _hasten(session: Session, recording_id: str, now: datetime) -> None:
    """The same bytes came again through the urgent folder: the job becomes urgent, unless it has ended."""
    query = update(Job).where(
        Job.recording_id == recording_id,
        Job.state.in_((*WAITING, *IN_WORK)),
        Job.priority > Priority.URGENT,
    )
    changed = session.execute(query.values(priority=Priority.URGENT))
    if isinstance(changed, CursorResult) and changed.rowcount:
        audit.record(session, now=now, actor="daemon", action="urgent", recording_id=recording_id)


def _arrival(copy: Copy, recording_id: str, now: datetime, *, duplicate: bool) -> Arrival:
    return Arrival(
        recording_id=recording_id,
        name=copy.name,
        name_bytes=copy.name_bytes,
        label=copy.label,
        device=copy.device & _SIGNED,
        inode=copy.inode & _SIGNED,
        size=copy.size,
        mtime_ns=copy.mtime_ns,
        duplicate=duplicate,
        warning=copy.warning,
        arrived_at=now,
    )


def _already_arrived(session: Session, copy: Copy, recording_id: str) -> bool:
    query = select(Arrival.id).where(
        Arrival.device == copy.device & _SIGNED,
        Arrival.inode == copy.inode & _SIGNED,
        Arrival.size == copy.size,
        Arrival.mtime_ns == copy.mtime_ns,
        Arrival.name_bytes == copy.name_bytes,
        Arrival.recording_id == recording_id,
    )
    return session.scalar(query.limit(1)) is not None


def _free_output_name(session: Session, stem: str, recording_id: str) -> str:
    taken = session.scalar(select(Recording.id).where(Recording.output_name == stem)) is not None
    return f"{stem}-{recording_id[:8]}" if taken else stem


def store_facts(session: Session, recording_id: str, facts: AudioFacts) -> None:
    """Keep what decoding found out about a recording; a second decoding replaces the first's."""
    values = asdict(facts) | {"warnings": list(facts.warnings)}
    session.merge(AudioFactsRow(recording_id=recording_id, **values))


def arrivals(session: Session, recording_id: str) -> Sequence[Arrival]:
    """Return every file that brought a recording, first the one that made it."""
    return session.scalars(select(Arrival).where(Arrival.recording_id == recording_id).order_by(Arrival.id)).all()


def hashes(session: Session) -> Iterator[tuple[str, str]]:
    """Give every recording's id and sha256, without holding them all."""
    yield from session.execute(select(Recording.id, Recording.sha256)).yield_per(1000)


def find(session: Session, identifier: str) -> Recording:
    """Given a recording's id or the beginning of one, return the recording. Raise FatalError when none or several begin so."""
    prefix = identifier.lower()
    found: list[Recording] = []
    if prefix and all(letter in "0123456789abcdef" for letter in prefix):
        query = select(Recording).where(Recording.id >= prefix, Recording.id < prefix + "g").limit(2)
        found = list(session.scalars(query))
    if len(found) == 1:
        return found[0]
    problem = "several recordings begin" if found else "no recording begins"
    raise FatalError(f"{problem} with this id; `medasrd jobs list` shows the ids")
