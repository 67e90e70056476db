"""Runs of the learning cycle: begun, told about, ended; each change is a line of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from daemon.store import audit
from daemon.store.learning_schema import AdapterRow, LearningRunRow
from medasr.errors import FatalError


class LearningState(StrEnum):
    """Where a run is, or how it ended."""

    GATHERING = "gathering"  # reading and measuring the data
    TRAINING = "training"
    WAITING = "waiting"  # recordings come first, or the hours are over; it goes on from its checkpoint
    JUDGING = "judging"  # measuring both models, and the gate
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process died; another run took its place


#: States in which a run is under way.
UNDER_WAY = (
    LearningState.GATHERING,
    LearningState.TRAINING,
    LearningState.WAITING,
    LearningState.JUDGING,
    LearningState.PROMOTING,
)


@dataclass(frozen=True, kw_only=True)
class LearningRun:
    """A run as it is stored."""

    id: int
    trigger: str
    slot: datetime | None  #: of the schedule, that it serves
    state: LearningState
    reason: str | None  #: code of why it ended as it did
    detail: dict[str, Any]  #: counts and figures
    version: str | None  #: that came of it
    verdict: int | None  #: number of the gate's
    started_at: datetime
    updated_at: datetime
    ended_at: datetime | None


def begin(session: Session, trigger: str, key: str, *, actor: str, now: datetime, slot: datetime | None = None) -> int:
    """Begin a run, or go on with one of the same key that its process left; return its number.

    Only one process runs the cycle, so whatever else is under way has been left for good. One that was left for a slot of the schedule
    and goes on when the next is due serves that one.
    """
    for row in session.scalars(select(LearningRunRow).where(LearningRunRow.ended_at.is_(None))):
        if row.detail.get("key") == key and row.trigger == trigger:
            row.updated_at, row.slot = now, slot
            return row.id
        _end(session, row, LearningState.INTERRUPTED, "INTERRUPTED", actor=actor, now=now)
    row = LearningRunRow(
        trigger=trigger,
        slot=slot,
        state=LearningState.GATHERING,
        detail={"key": key},
        started_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(session, now=now, actor=actor, action="learning-begun", run=row.id, trigger=trigger, **_due(slot))
    return row.id


def note(
    session: Session,
    run: int,
    state: LearningState,
    *,
    actor: str,
    now: datetime,
    reason: str | None = None,
    version: str | None = None,
    verdict: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Tell what became of a run. Raise FatalError when there is no such run, or it has ended."""
    row = session.get(LearningRunRow, run)
    if row is None or row.ended_at is not None:
        raise FatalError(f"there is no learning run {run} under way; `medasrd learn status` shows the last ones")
    row.detail = {**row.detail, **(detail or {})}
    if version is not None:
        row.adapter_id = session.scalar(select(AdapterRow.id).where(AdapterRow.name == version))
    row.verdict_id = verdict if verdict is not None else row.verdict_id
    row.updated_at = now
    if state not in UNDER_WAY:
        _end(session, row, state, reason, actor=actor, now=now)
    elif state != row.state:
        row.state = state
        audit.record(session, now=now, actor=actor, action=f"learning-{state}", run=row.id)


def find(session: Session, run: int) -> LearningRun:
    """A run by its number. Raise FatalError when there is none."""
    query = select(LearningRunRow, AdapterRow.name).outerjoin(AdapterRow, AdapterRow.id == LearningRunRow.adapter_id)
    found = session.execute(query.where(LearningRunRow.id == run)).one_or_none()
    if found is None:
        raise FatalError(f"there is no learning run {run}; `medasrd learn status` shows the last ones")
    return _run(*found)


def ended_for(session: Session, slot: datetime) -> LearningState | None:
    """How the run ended that served a slot of the schedule; None while none has."""
    query = select(LearningRunRow.state).where(
        LearningRunRow.slot == slot,
        LearningRunRow.ended_at.is_not(None),
        LearningRunRow.state != LearningState.INTERRUPTED,
    )
    state = session.scalars(query.order_by(LearningRunRow.id.desc()).limit(1)).first()
    return LearningState(state) if state else None


def listing(session: Session, *, limit: int | None = None) -> Sequence[LearningRun]:
    """Runs, newest first."""
    query = (
        select(LearningRunRow, AdapterRow.name)
        .outerjoin(AdapterRow, AdapterRow.id == LearningRunRow.adapter_id)
        .order_by(LearningRunRow.id.desc())
    )
    return [_run(row, name) for row, name in session.execute(query.limit(limit))]


def _due(slot: datetime | None) -> dict[str, str]:
    return {"slot": slot.isoformat()} if slot else {}


def _end(
    session: Session, row: LearningRunRow, state: LearningState, reason: str | None, *, actor: str, now: datetime
) -> None:
    row.state, row.reason, row.ended_at, row.updated_at = state, reason, now, now
    audit.record(session, now=now, actor=actor, action=f"learning-{state}", run=row.id, reason=reason)


def _run(row: LearningRunRow, version: str | None) -> LearningRun:
    return LearningRun(
        id=row.id,
        trigger=row.trigger,
        slot=row.slot,
        state=LearningState(row.state),
        reason=row.reason,
        detail={name: value for name, value in row.detail.items() if name != "key"},
        version=version,
        verdict=row.verdict_id,
        started_at=row.started_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
    )
