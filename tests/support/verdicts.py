"""Verdicts of the gate, made without a model."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from daemon.store import audit, models, verdicts
from daemon.store.verdicts import NewVerdict
from medasr.gate import judge
from medasr.verdict import GateOptions, GateVerdict
from tests.support.trials import QUIET, misheard, said, trial

_SPOKEN = said(30)


def make_verdict(*, better: bool = True) -> GateVerdict:
    """What the gate says about a candidate that is better, or worse, than what serves."""
    before, after = misheard(_SPOKEN, 0.15, seed=1), misheard(_SPOKEN, 0.05 if better else 0.3, seed=2)
    return judge([trial(before, after, _SPOKEN)], QUIET, GateOptions())


def enter_version(session: Any, name: str, digit: str, at: datetime) -> None:
    """A version whose hash is this hexadecimal digit again and again."""
    new = models.NewAdapter(
        name=name,
        base_id="whisper-base",
        base_sha256="ab" * 32,
        adapter_sha256=digit * 64,
        origin="trained",
        audio_context="variable",
        manifest={},
    )
    models.add_adapter(session, new, now=at)


def file_verdict(session: Any, name: str, verdict: GateVerdict, at: datetime, *, key: str, incumbent: str = "") -> int:
    """Store a verdict about a version."""
    new = NewVerdict(
        key=key * 32, candidate=name, incumbent_sha256=incumbent, trigger="manual", created_at=at, verdict=verdict
    )
    return verdicts.add(session, new)


def note_promotion(session: Any, name: str, previous: str, at: datetime, **detail: Any) -> None:
    """What the registry writes into the audit trail."""
    audit.record(
        session,
        now=at,
        actor="ann",
        action="promoted",
        **({"version": name, "previous": previous, "reason": "GATE", "trigger": "manual"} | detail),
    )


def fill_history(session: Any, began: datetime) -> None:
    """One version is promoted by the gate, the next one rejected, a third one promoted past it."""
    for number, name in enumerate(("whisper-base-aaaaaaaa", "whisper-base-bbbbbbbb", "whisper-base-cccccccc")):
        enter_version(session, name, "abc"[number], began)
    first = file_verdict(session, "whisper-base-aaaaaaaa", make_verdict(), began, key="1")
    day = timedelta(days=1)
    note_promotion(
        session, "whisper-base-aaaaaaaa", "whisper-base (stock)", began + timedelta(minutes=1), verdict=first
    )
    file_verdict(session, "whisper-base-bbbbbbbb", make_verdict(better=False), began + day, key="2", incumbent="a" * 64)
    note_promotion(
        session,
        "whisper-base-cccccccc",
        "whisper-base-aaaaaaaa",
        began + 2 * day,
        reason="FORCED",
        words="<b>the ward</b> asked",
    )
