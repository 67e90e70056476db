"""The report in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.cli.options import console, harmless
from daemon.cli.tables import print_table
from daemon.report.alarms import Alarm
from daemon.report.history import SERVING, model_name
from daemon.report.milestones import MilestoneKind
from daemon.report.sparkline import trend
from daemon.report.words import NAMES, alarm_sentence, comparability, day, meaning
from medasr.metrics.scores import HEADLINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.report.history import Change, Point, Series
    from daemon.report.milestones import Milestone
    from daemon.report.overview import Overview
    from daemon.store.activity import Week

#: So many evaluations of a line are listed, the newest; all are in --html, --csv and --json.
LISTED = 12
#: So many of them make a sparkline.
_TREND = 24
_SHORT = ("WER", "nWER", "CER", "nCER", "MTA", "precision")


def print_overview(overview: Overview) -> None:
    """Print a report; the newest series comes last, next to the prompt, and the weeks below it."""
    if not overview.series:
        _paragraph(
            f"Nothing was evaluated yet{' that fits what was asked for' if overview.chosen else ''}. "
            "`medasrd evaluate --dataset DATASET` measures the model that serves."
        )
    for before, series in zip((None, *overview.series), overview.series, strict=False):
        _print_series(series, before, overview.alarms)
    if overview.series:
        _paragraph(
            "nWER, nCER: normalized. Rates in percent; changes in points, * where larger than chance explains.", "dim"
        )
    _print_milestones(overview.milestones)
    _print_weeks(overview.weeks)
    for alarm in overview.standing:
        _paragraph(alarm_sentence(alarm), "bold red")


def _print_series(series: Series, before: Series | None, alarms: Mapping[int, tuple[Alarm, ...]]) -> None:
    recipe, newest = series.recipe, series.points[-1].evaluation
    _paragraph(
        f"Recipe {series.letter}: {recipe.dataset} ({recipe.dataset_sha256[:8]}), {recipe.split}, part {recipe.part}, "
        f"{newest.scores.n_utterances} utterances, {recipe.normalizer}",
        "bold",
    )
    if before:
        _paragraph(comparability(series, before), "yellow")
    for leak in newest.leaks:
        _paragraph(f"These figures may be too good: {leak}", "yellow")
    console().print()
    for name, points in series.lines.items():
        _print_line(name, points, alarms)
    _print_categories(series)


def _print_line(name: str, points: Sequence[Point], alarms: Mapping[int, tuple[Alarm, ...]]) -> None:
    _paragraph("What serves" if name == SERVING else name, "bold cyan")
    if len(points) > LISTED:
        _paragraph(f"{len(points) - LISTED} earlier ones are not listed", "dim")
    rows = []
    for point in points[-LISTED:]:
        one = point.evaluation
        figures = (_figure(getattr(one.scores, metric).value) for metric in HEADLINE)
        rows.append((f"{one.id}{'!' if one.id in alarms else ''}", day(one.ended_at), *figures, model_name(one.model)))
    print_table(("no.", "date", *_SHORT, "model"), rows, right=frozenset({"no.", *_SHORT}))
    console().print()
    newest = points[-1]
    if newest.last:
        _print_changes(points)
    for sentence in meaning(newest, alarms.get(newest.evaluation.id, ())):
        _paragraph(sentence, "red" if sentence.startswith("ALARM") else "")
    console().print()


def _print_changes(points: Sequence[Point]) -> None:
    """What became of each metric."""
    newest = points[-1]
    columns = ("metric", "now", "95 % interval", "since last", "since best", "trend")
    rows = []
    for metric, name in NAMES.items():
        estimate = getattr(newest.evaluation.scores, metric)
        interval = "" if estimate.low is None else f"{estimate.low:.1f} to {estimate.high:.1f}"
        last, best = newest.since_last.get(metric), newest.since_best.get(metric)
        against = f" (no. {best.earlier.id})" if best else ""
        changes = (_change(last), _change(best) + against)
        rows.append((name, _figure(estimate.value), interval, *changes, trend(points, metric, width=_TREND)))
    print_table(columns, rows, right=frozenset({"now", "since last", "since best", "95 % interval"}))
    console().print()


def _print_categories(series: Series) -> None:
    """MTA by category of the newest evaluation of each line."""
    newest = [points[-1] for points in series.lines.values()]
    said: dict[str, int] = {}
    for point in newest:
        for name, counts in point.evaluation.scores.categories.items():
            said[name] = max(said.get(name, 0), counts.correct + counts.missed)
    if not said:
        return
    lines = [f"no. {point.evaluation.id} {point.line}" for point in newest]
    rows = [
        (str(count), *(_category(point, name) for point in newest), name)
        for name, count in sorted(said.items(), key=lambda item: (-item[1], item[0]))
    ]
    _paragraph("MTA by category (missed, invented)", "bold cyan")
    print_table(("said", *lines, "category"), rows, right=frozenset({"said", *lines}))
    console().print()


def _category(point: Point, name: str) -> str:
    counts = point.evaluation.scores.categories.get(name)
    return f"{_figure(counts.accuracy)} ({counts.missed}, {counts.invented})" if counts else "–"


def _print_milestones(milestones: Sequence[Milestone]) -> None:
    if not milestones:
        return
    console().print()
    _paragraph("What the gate said, and what came to serve", "bold cyan")
    if len(milestones) > LISTED:
        _paragraph(f"{len(milestones) - LISTED} earlier ones are not listed", "dim")
    for one in milestones[-LISTED:]:
        number = f" (`medasrd gate show {one.verdict}`)" if one.verdict else ""
        style = "green" if one.serves else "" if one.kind is MilestoneKind.PASSED else "yellow"
        _paragraph(f"{day(one.at)}  {one.kind}: {one.version}, against {one.against}{number}", style)
        _paragraph(one.why, "dim")


def _print_weeks(weeks: Sequence[Week]) -> None:
    console().print()
    if not weeks:
        _paragraph("The service transcribed nothing in this time.")
        return
    _paragraph("What the service itself saw, by week", "bold cyan")
    columns = ("Monday", "recordings", "hours", "× real time", "to review", "confidence", "top terms")
    rows = [
        (
            f"{week.monday}",
            str(week.recordings),
            f"{week.hours:.1f}",
            _figure(week.rtfx),
            f"{100 * week.review_share:.1f} %",
            "–" if week.confidence is None else f"{100 * week.confidence:.1f} %",
            ", ".join(f"{term} {hits}" for term, hits in week.top_terms),
        )
        for week in weeks
    ]
    print_table(columns, rows, right=frozenset(columns[1:-1]))
    console().print()


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _change(change: Change | None) -> str:
    if change is None:
        return "–"
    return f"{change.difference:+.1f}{'*' if change.beyond_noise else ' '}"


def _paragraph(words: str, style: str = "") -> None:
    """Words that may hold anything, broken at the terminal's width; what a terminal would obey is replaced."""
    from rich.text import Text

    console().print(Text(harmless(words), style=style))
