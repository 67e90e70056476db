"""A report as JSON; the keys are documented in docs/report.md."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from daemon.evaluation.document import findings_document
from daemon.report.alarms import alarm_document
from daemon.report.history import model_name
from daemon.report.words import meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.report.alarms import Alarm
    from daemon.report.history import Change, Point, Series
    from daemon.report.milestones import Milestone
    from daemon.report.overview import Overview
    from daemon.store.activity import Week


def report_document(overview: Overview) -> dict[str, Any]:
    """All that a report shows; moments in UTC, rates in percent, changes in points."""
    return {
        "made_at": overview.made_at.isoformat(),
        "alarms": [alarm_document(alarm) for alarm in overview.standing],
        "series": [_series(series, overview) for series in overview.series],
        "weeks": [_week(week) for week in overview.weeks],
        "milestones": [_milestone(one) for one in overview.milestones],
    }


def _series(series: Series, overview: Overview) -> dict[str, Any]:
    return {
        "letter": series.letter,
        "recipe": asdict(series.recipe) | {"sha256": series.recipe.sha256},
        "changed": list(series.changed),
        "evaluations": [_point(point, overview.alarms.get(point.evaluation.id, ())) for point in series.points],
    }


def _point(point: Point, alarms: Sequence[Alarm]) -> dict[str, Any]:
    return findings_document(point.evaluation) | {
        "line": point.line,
        "model_name": model_name(point.evaluation.model),
        "since_last": {metric: _change(change) for metric, change in point.since_last.items()},
        "since_best": {metric: _change(change) for metric, change in point.since_best.items()},
        "alarms": [alarm_document(alarm) for alarm in alarms],
        "meaning": list(meaning(point, alarms)),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "evaluation": change.earlier.id,
        "before": change.before,
        "difference": change.difference,
        "low": change.low,
        "high": change.high,
        "better": change.better,
        "beyond_noise": change.beyond_noise,
    }


def _milestone(one: Milestone) -> dict[str, Any]:
    return asdict(one) | {"at": one.at.isoformat(), "kind": str(one.kind)}


def _week(week: Week) -> dict[str, Any]:
    terms = [{"term": term, "hits": hits} for term, hits in week.top_terms]
    return asdict(week) | {"monday": week.monday.isoformat(), "top_terms": terms}
