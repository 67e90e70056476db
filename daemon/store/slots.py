"""Slots of the schedule: a row for each, so that none runs twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from daemon.store.schema import ScheduleRun


def begin(session: Session, task: str, slot: datetime, *, now: datetime) -> bool:
    """Take a slot, or one that was interrupted again; return False when it was finished before, by whichever process."""
    run = session.get(ScheduleRun, (task, slot))
    if run is None:
        session.add(ScheduleRun(task=task, slot=slot, started_at=now))
    return run is None or run.ended_at is None


def end(session: Session, task: str, slot: datetime, *, outcome: str, now: datetime) -> None:
    """Note how a slot went."""
    run = session.get_one(ScheduleRun, (task, slot))
    run.ended_at, run.outcome = now, outcome


def last(session: Session, task: str) -> ScheduleRun | None:
    """The latest slot that was taken."""
    return session.scalar(
        select(ScheduleRun).where(ScheduleRun.task == task).order_by(ScheduleRun.slot.desc()).limit(1)
    )
