"""The report as a page: one file without scripts, that loads nothing and needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from daemon.report import chart as charts
from daemon.report.history import Series, model_name
from daemon.report.words import NAMES, alarm_sentence, comparability, day, meaning
from medasr.metrics.scores import HEADLINE

if TYPE_CHECKING:
    from daemon.report.history import Change, Point
    from daemon.report.overview import Overview


@dataclass(frozen=True, kw_only=True)
class Section:
    """A series as the page shows it."""

    series: Series
    why_apart: str  #: from the series before it; empty for the first


def report_page(overview: Overview) -> str:
    """Give the report as HTML. Everything that anybody could have named is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("daemon").joinpath("data/report.html.jinja").read_text(encoding="utf-8")
    alarmed = frozenset(overview.alarms)
    pairs = zip(overview.series, (None, *overview.series), strict=False)
    return environment.from_string(source).render(
        overview=overview,
        alarms=[alarm_sentence(alarm) for alarm in overview.standing],
        sections=[Section(series=one, why_apart=comparability(one, before) if before else "") for one, before in pairs],
        charts=[
            drawn
            for metric in HEADLINE
            if (drawn := charts.chart(overview.series, metric, alarmed, overview.milestones))
        ],
        colors=charts.colors_of(overview.series),
        size=charts,
        metrics=NAMES,
        day=day,
        model_name=model_name,
        meaning=lambda point: meaning(point, overview.alarms.get(point.evaluation.id, ())),
        verdict=_verdict,
        categories=_categories,
        figure=lambda value, digits=1: "–" if value is None else f"{value:.{digits}f}",
    )


def _verdict(change: Change | None) -> str:
    """The class of a change's colour."""
    if change is None or change.better is None:
        return "same"
    return f"{'better' if change.better else 'worse'}{'' if change.beyond_noise else ' unsure'}"


def _categories(series: Series) -> list[tuple[str, list[Point]]]:
    """The categories of terms that occur in a series, most frequent first, and its newest points, one a line."""
    newest = [points[-1] for points in series.lines.values()]
    occurring: dict[str, int] = {}
    for point in newest:
        for name, counts in point.evaluation.scores.categories.items():
            occurring[name] = max(occurring.get(name, 0), counts.correct + counts.missed)
    return [(name, newest) for name in sorted(occurring, key=lambda name: (-occurring[name], name))]
