"""Versions of the model and their aliases: which adapters there are, and which of them serves, served before, or is pinned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from daemon.store.learning_schema import AdapterRow, AliasRow, GateVerdictRow
from medasr.errors import FatalError

#: The aliases that are rows; ``base``, the stock weights, is always there.
ALIASES = ("serving", "previous", "candidate", "pinned")

#: The beginning of a hash has at least so many digits.
_HASH = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, kw_only=True)
class NewAdapter:
    """A version to be entered; the fields are the columns of :class:`AdapterRow`."""

    name: str
    base_id: str
    base_sha256: str
    adapter_sha256: str
    origin: str
    audio_context: str
    manifest: dict[str, Any]


def add_adapter(session: Session, new: NewAdapter, *, now: datetime) -> AdapterRow:
    """Enter a version and return its row; one that was removed is there again, one that is there already stays as it is.

    Raise FatalError when the same weights are known with another configuration or for another base.
    """
    row = session.scalar(select(AdapterRow).where(AdapterRow.adapter_sha256 == new.adapter_sha256))
    if row is None:
        row = AdapterRow(**vars(new), created_at=now)
        session.add(row)
        session.flush()
        return row
    if (row.base_id, _settings(row.manifest)) != (new.base_id, _settings(new.manifest)):
        raise FatalError(
            f"these weights are known as {row.name}, with another adapter_config.json or for another base; one of the two was "
            "altered: `medasrd models show` tells what that version holds"
        )
    if row.removed_at is not None:
        row.removed_at, row.manifest, row.origin = None, new.manifest, new.origin
        session.flush()
    return row


def find_adapter(session: Session, identifier: str) -> AdapterRow:
    """Given a version's name or the beginning of its hash, return it, removed or not. Raise FatalError when it names none or several."""
    row = session.scalar(select(AdapterRow).where(AdapterRow.name == identifier))
    if row is not None:
        return row
    found: Sequence[AdapterRow] = ()
    if _HASH.fullmatch(identifier):
        begins: ColumnElement[bool] = AdapterRow.adapter_sha256.startswith(identifier)
        found = session.scalars(select(AdapterRow).where(begins).order_by(AdapterRow.name)).all()
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(one.name for one in found)
        raise FatalError(f"{identifier} is the beginning of several versions ({names}); type one of these names")
    raise FatalError(f"there is no version {identifier!r}; `medasrd models list` shows those that exist")


def list_adapters(session: Session, *, base_id: str | None = None, removed: bool = False) -> Sequence[AdapterRow]:
    """Return versions, newest first: of one base or of all, with those whose files were removed if asked for."""
    query = select(AdapterRow).order_by(AdapterRow.created_at.desc(), AdapterRow.id.desc())
    if base_id is not None:
        query = query.where(AdapterRow.base_id == base_id)
    if not removed:
        query = query.where(AdapterRow.removed_at.is_(None))
    return session.scalars(query).all()


def remove_adapter(session: Session, adapter_id: int, *, now: datetime) -> None:
    """The version's files are about to go; its row stays, since transcripts and verdicts point to it."""
    session.get_one(AdapterRow, adapter_id).removed_at = now
    session.flush()


def aliases(session: Session, base_id: str) -> dict[str, AdapterRow | None]:
    """Return what each alias of a base stands for, None being the stock weights; an alias that is not set is not in it."""
    return {row.alias: row.adapter for row in session.scalars(select(AliasRow).where(AliasRow.base_id == base_id))}


def alias_of(session: Session, base_id: str, alias: str) -> AdapterRow | None:
    """Return the version that an alias stands for; None for the stock weights, and where it was never set."""
    return aliases(session, base_id).get(alias)


def set_alias(session: Session, base_id: str, alias: str, adapter_id: int | None, *, now: datetime) -> None:
    """Let an alias stand for a version, or with None for the stock weights."""
    row = session.get(AliasRow, (base_id, alias))
    if row is None:
        session.add(AliasRow(base_id=base_id, alias=alias, adapter_id=adapter_id, changed_at=now))
    else:
        row.adapter_id, row.changed_at = adapter_id, now
    session.flush()


def clear_alias(session: Session, base_id: str, alias: str) -> None:
    """Let an alias stand for nothing."""
    session.execute(delete(AliasRow).where(AliasRow.base_id == base_id, AliasRow.alias == alias))
    session.expire_all()


def latest_verdict(session: Session, adapter_id: int, incumbent_id: int | None) -> GateVerdictRow | None:
    """Return the gate's last word about a version against another, None being the stock weights; None where it said nothing."""
    query = select(GateVerdictRow).where(
        GateVerdictRow.adapter_id == adapter_id, GateVerdictRow.incumbent_id.is_not_distinct_from(incumbent_id)
    )
    return session.scalar(query.order_by(GateVerdictRow.id.desc()).limit(1))


def last_verdict(session: Session, adapter_id: int) -> GateVerdictRow | None:
    """Return the gate's last word about a version, against whatever served then."""
    query = select(GateVerdictRow).where(GateVerdictRow.adapter_id == adapter_id)
    return session.scalar(query.order_by(GateVerdictRow.id.desc()).limit(1))


def _settings(manifest: dict[str, Any]) -> Any:
    """What decides, beside the weights, what an adapter does."""
    return manifest.get("files", {}).get("adapter_config.json"), manifest.get("shortest_context")
