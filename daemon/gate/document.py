"""A verdict as JSON, the same for `medasrd gate` and `medasrd report`; the keys are documented in docs/gate.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.store.verdicts import ServingChange, StoredVerdict
    from medasr.verdict import TrialResult


def verdict_document(stored: StoredVerdict) -> dict[str, Any]:
    """All of a verdict; no text of anybody."""
    verdict = stored.verdict
    return verdict_summary(stored) | {
        "checks": [asdict(check) for check in verdict.checks],
        "trials": [_trial(trial) for trial in verdict.trials],
        "sounds": [asdict(sound) for sound in verdict.sounds],
        "options": asdict(verdict.options),
    }


def verdict_summary(stored: StoredVerdict) -> dict[str, Any]:
    """What was decided about whom, and why."""
    return {
        "id": stored.id,
        "created_at": stored.created_at.isoformat(),
        "trigger": stored.trigger,
        "base": stored.base_id,
        "candidate": stored.candidate,
        "incumbent": stored.incumbent,
        "decision": str(stored.verdict.decision),
        "failed": [str(check.name) for check in stored.verdict.failed],
        "reasons": list(stored.verdict.reasons),
        "notes": list(stored.verdict.notes),
    }


def change_document(change: ServingChange) -> dict[str, Any]:
    """A promotion or rollback."""
    return asdict(change) | {"at": change.at.isoformat()}


def _trial(trial: TrialResult) -> dict[str, Any]:
    return asdict(trial) | {"name": trial.name}
