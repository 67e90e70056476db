"""What the gate has said: filed once, listed, and, after a promotion, what makes the candidate's score a point of what serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from daemon.store import audit, evaluations, models
from daemon.store.learning_schema import AdapterRow, GateVerdictRow
from daemon.store.schema import AuditRow
from medasr.errors import FatalError
from medasr.verdict import GateVerdict

_VERDICT: TypeAdapter[GateVerdict] = TypeAdapter(GateVerdict)
#: A verdict's number has at most so many digits.
_DIGITS = 9
#: What the audit trail calls the acts that change which version serves.
_CHANGES = ("promoted", "rolled back")


@dataclass(frozen=True, kw_only=True)
class NewVerdict:
    """A verdict to be stored."""

    key: str  #: what makes it the same one when it is filed again
    candidate: str  #: the version's name
    incumbent_sha256: str  #: of the adapter that served; empty for stock weights
    trigger: str  #: manual or scheduled
    created_at: datetime
    verdict: GateVerdict


@dataclass(frozen=True, kw_only=True)
class StoredVerdict:
    """A verdict as it was stored."""

    id: int
    candidate: str  #: the version's name
    incumbent: str | None  #: None for the stock weights, or an adapter that is no version
    base_id: str
    trigger: str
    created_at: datetime
    verdict: GateVerdict


@dataclass(frozen=True, kw_only=True)
class ServingChange:
    """A promotion or a rollback."""

    at: datetime
    actor: str
    rolled_back: bool
    version: str
    previous: str
    reason: str  #: GATE, FORCED, EMBEDDED, ROLLBACK ...
    words: str  #: the operator's, where the gate was passed by
    verdict: int | None


def add(session: Session, new: NewVerdict, *, actor: str = "daemon") -> int:
    """Store a verdict and return its number; one that is stored already is left as it is.

    Raise FatalError when the candidate is no version.
    """
    adapter = models.find_adapter(session, new.candidate)
    for row in session.scalars(select(GateVerdictRow).where(GateVerdictRow.adapter_id == adapter.id)):
        if row.document["key"] == new.key:
            return row.id
    incumbent = session.scalar(select(AdapterRow).where(AdapterRow.adapter_sha256 == new.incumbent_sha256))
    row = GateVerdictRow(
        adapter_id=adapter.id,
        incumbent_id=incumbent.id if incumbent else None,
        decision=new.verdict.decision,
        document=asdict(new.verdict) | {"key": new.key},
        created_at=new.created_at,
        trigger=new.trigger,
    )
    session.add(row)
    session.flush()
    failed = list(dict.fromkeys(str(check.name) for check in new.verdict.failed))
    detail: dict[str, Any] = {"verdict": row.id, "decision": str(new.verdict.decision), "failed": failed}
    audit.record(session, now=new.created_at, actor=actor, action="judged", version=adapter.name, **detail)
    return row.id


def find(session: Session, identifier: str) -> StoredVerdict:
    """Given a verdict's number or ``latest``, return it. Raise FatalError when there is none."""
    query = _query().order_by(GateVerdictRow.id.desc()).limit(1)
    if identifier != "latest":
        if not identifier.isdecimal() or len(identifier) > _DIGITS:
            raise FatalError(f'"{identifier}" is no verdict: a number of `medasrd gate list`, or latest')
        query = query.where(GateVerdictRow.id == int(identifier))
    row = session.scalar(query)
    if row is None:
        raise FatalError(
            "the gate has judged nothing yet; `medasrd gate run VERSION` has it judge"
            if identifier == "latest"
            else f"there is no verdict {identifier}; `medasrd gate list` shows them"
        )
    return _stored(row)


def stored_verdicts(
    session: Session, *, since: datetime | None = None, limit: int | None = None
) -> list[StoredVerdict]:
    """Return verdicts, newest first."""
    query = _query().order_by(GateVerdictRow.created_at.desc(), GateVerdictRow.id.desc()).limit(limit)
    if since is not None:
        query = query.where(GateVerdictRow.created_at >= since)
    return [_stored(row) for row in session.scalars(query)]


def adopt(session: Session, verdict_id: int) -> None:
    """After a promotion: what was measured of the candidate was measured of what serves from now on."""
    for trial in session.get_one(GateVerdictRow, verdict_id).document.get("trials", ()):
        if trial["evaluations"] is not None:
            evaluations.adopt(session, trial["evaluations"][1])


def serving_changes(session: Session, *, since: datetime | None = None) -> list[ServingChange]:
    """Return promotions and rollbacks from the audit trail, oldest first."""
    query = select(AuditRow).where(AuditRow.action.in_(_CHANGES)).order_by(AuditRow.id)
    if since is not None:
        query = query.where(AuditRow.at >= since)
    return [_change(row) for row in session.scalars(query)]


def _change(row: AuditRow) -> ServingChange:
    detail = row.detail
    return ServingChange(
        at=row.at,
        actor=row.actor,
        rolled_back=row.action == "rolled back",
        version=str(detail.get("version", "")),
        previous=str(detail.get("previous", "")),
        reason=str(detail.get("reason", "")),
        words=str(detail.get("words", "")),
        verdict=detail.get("verdict"),
    )


def _query() -> Select[Any]:
    return select(GateVerdictRow).options(joinedload(GateVerdictRow.adapter), joinedload(GateVerdictRow.incumbent))


def _stored(row: GateVerdictRow) -> StoredVerdict:
    return StoredVerdict(
        id=row.id,
        candidate=row.adapter.name,
        incumbent=row.incumbent.name if row.incumbent else None,
        base_id=row.adapter.base_id,
        trigger=row.trigger,
        created_at=row.created_at,
        verdict=_VERDICT.validate_python(row.document),
    )
