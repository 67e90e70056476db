"""Evaluations as they come from the store, without one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from daemon.store.evaluations import EvaluationSummary
from tests.support.evaluations import NOW, make_report


def stored(number: int, *, skill: float = 0.8, **overrides: Any) -> EvaluationSummary:
    """The evaluation with this number, made so many days after :data:`NOW`."""
    began = NOW + timedelta(days=number)
    moments = {"started_at": began, "ended_at": began + timedelta(minutes=5)}
    report = make_report(skill=skill, number=80, **(moments | overrides))
    fields = EvaluationSummary.__dataclass_fields__.keys() - {"id"}
    return EvaluationSummary(id=number, **{name: getattr(report, name) for name in fields})
