"""What the gate said and what became of it: verdicts, promotions and rollbacks as a report shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from medasr.verdict import Decision

if TYPE_CHECKING:
    from daemon.store.verdicts import ServingChange, StoredVerdict

#: Why a version came to serve, for people; another reason is told by its code.
_WHY = {
    "GATE": "the gate let it through",
    "FORCED": "past the gate",
    "EMBEDDED": "it came with medasr",
    "ROLLBACK": "somebody went back to it",
    "LOAD_FAILED": "the one promoted before could not be loaded",
    "WRONG_BASE": "the one promoted before belongs to other weights",
    "WRONG_LANGUAGE": "the one promoted before is for another language",
}


class MilestoneKind(StrEnum):
    """What happened."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    PASSED = "passed the gate"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """A moment at which another version began to serve, or might have."""

    at: datetime
    kind: MilestoneKind
    version: str
    against: str  #: what served until then
    why: str  #: in words
    verdict: int | None  #: number

    @property
    def serves(self) -> bool:
        """Whether the version serves from then on."""
        return self.kind in (MilestoneKind.PROMOTED, MilestoneKind.ROLLED_BACK)


def milestones(verdicts: Sequence[StoredVerdict], changes: Sequence[ServingChange]) -> tuple[Milestone, ...]:
    """Given what the gate said and which versions came to serve, return all in order; a promotion tells its verdict's reasons."""
    by_number = {one.id: one for one in verdicts}
    followed = {change.verdict for change in changes}
    found = [_of_change(change, by_number.get(change.verdict or 0)) for change in changes]
    found += [_of_verdict(one) for one in verdicts if one.id not in followed]
    return tuple(sorted(found, key=lambda one: one.at))


def _of_change(change: ServingChange, verdict: StoredVerdict | None) -> Milestone:
    why = _WHY.get(change.reason, change.reason)
    if change.words:
        why = f"{why}: {change.words}"
    elif verdict:
        why = " ".join(verdict.verdict.reasons)
    return Milestone(
        at=change.at,
        kind=MilestoneKind.ROLLED_BACK if change.rolled_back else MilestoneKind.PROMOTED,
        version=change.version,
        against=change.previous,
        why=why,
        verdict=change.verdict,
    )


def _of_verdict(stored: StoredVerdict) -> Milestone:
    passed = stored.verdict.decision is Decision.PROMOTE
    return Milestone(
        at=stored.created_at,
        kind=MilestoneKind.PASSED if passed else MilestoneKind.REJECTED,
        version=stored.candidate,
        against=stored.incumbent or f"{stored.base_id} (stock)",
        why=" ".join(stored.verdict.reasons),
        verdict=stored.id,
    )
