"""The audit trail: one line for each transition and each act of a person, chained so that a removed line shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from daemon.store.schema import AuditRow


def record(
    session: Session,
    *,
    now: datetime,
    actor: str,
    action: str,
    recording_id: str | None = None,
    **detail: Any,
) -> None:
    """Given what happened, append it. ``detail`` takes codes and counts, never a text, a term or a name."""
    previous = session.scalar(select(AuditRow.chain).order_by(AuditRow.id.desc()).limit(1)) or ""
    row = AuditRow(at=now, actor=actor, action=action, recording_id=recording_id, detail=detail)
    row.chain = _link(previous, row)
    session.add(row)
    session.flush()


def of_recording(session: Session, recording_id: str) -> Sequence[AuditRow]:
    """Return what happened to a recording, in order."""
    return session.scalars(select(AuditRow).where(AuditRow.recording_id == recording_id).order_by(AuditRow.id)).all()


def broken_link(session: Session) -> int | None:
    """Return the id of the first line that does not follow from the one before it, or None when the chain is whole."""
    previous = ""
    for row in session.scalars(select(AuditRow).order_by(AuditRow.id)).yield_per(1000):
        if row.chain != _link(previous, row):
            return row.id
        previous = row.chain
    return None


def _link(previous: str, row: AuditRow) -> str:
    line: list[Any] = [row.at.isoformat(timespec="milliseconds"), row.actor, row.action, row.recording_id, row.detail]
    return hashlib.sha256((previous + json.dumps(line, sort_keys=True)).encode()).hexdigest()
