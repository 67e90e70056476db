"""Slots of the schedule: a row for each, so that none runs twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from daemon.store.schema import ScheduleRun


def begin(session: Session, task: str, slot: datetime, *, now: datetime) -> bool:
    """Take a slot; return False when it was taken before, by whichever process."""
    if session.get(ScheduleRun, (task, slot)) is not None:
        return False
    session.add(ScheduleRun(task=task, slot=slot, started_at=now))
    return True


def end(session: Session, task: str, slot: datetime, *, outcome: str, now: datetime) -> None:
    """Note how a slot went."""
    run = session.get_one(ScheduleRun, (task, slot))
    run.ended_at, run.outcome = now, outcome


def last(session: Session, task: str) -> datetime | None:
    """The latest slot that was taken."""
    return session.scalar(select(func.max(ScheduleRun.slot)).where(ScheduleRun.task == task))
