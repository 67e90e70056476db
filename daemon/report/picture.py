"""The report as a picture: the metrics that raise alarms, and the service's weeks below them."""

from __future__ import annotations

import io
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from daemon.report.alarms import WATCHED
from daemon.report.chart import colors_of
from daemon.report.milestones import MilestoneKind
from daemon.report.words import NAMES, day
from medasr.metrics.scores import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.report.history import Point, Series
    from daemon.report.milestones import Milestone
    from daemon.report.overview import Overview
    from daemon.store.activity import Week

_COLORS = ("#1f5fbf", "#c26a00", "#7b3fb5", "#007c89", "#a1265c", "#5b6b00")
_ALARM, _RECIPE, _GRID, _INK = "#b3261e", "#c9a100", "#dfe4ea", "#1c2530"
_PROMOTED, _ROLLED_BACK = "#1b7f4b", "#7b3fb5"
#: Ticks at years, months, days, hours, minutes, seconds.
_DATES = ["%Y", "%Y-%m", "%Y-%m-%d", "%m-%d %H:%M", "%H:%M", "%H:%M:%S"]
_DAYS_OF_BAR = 5.5
#: Percentage points that a panel shows at least.
_LEAST_RANGE = 4.0
#: Recipes that begin soon after each other have their names on so many lines.
_STAGGER = 3


def report_picture(overview: Overview) -> bytes:
    """Draw the report as PNG. Lines lead only through evaluations with equal recipes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = len(WATCHED) + (2 if overview.weeks else 0)
    with rc_context({"font.size": 10, "axes.edgecolor": _GRID, "axes.titleweight": "bold", "text.color": _INK}):
        figure = Figure(figsize=(11, 3.1 * panels), dpi=110, layout="constrained")
        figure.suptitle(f"medasr report, {day(overview.made_at)}\n", fontsize=16, fontweight="bold", x=0.02, ha="left")
        axes = figure.subplots(panels, 1)
        for metric, panel in zip(WATCHED, axes, strict=False):
            _draw_metric(panel, overview, metric)
        if overview.weeks:
            _draw_work(axes[-2], overview.weeks)
            _draw_quality(axes[-1], overview.weeks)
        for panel in axes:
            _tidy(panel)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", metadata={"Software": "medasr"})
    return drawn.getvalue()


def _draw_metric(panel: Any, overview: Overview, metric: str) -> None:
    better = "higher" if metric in HIGHER_IS_BETTER else "lower"
    panel.set_title(f"{NAMES[metric]}, percent, with 95 % intervals ({better} is better)", loc="left", fontsize=11)
    if not overview.series:
        _say_nothing(panel, "nothing was evaluated yet: medasrd evaluate --dataset DATASET")
        return
    colors = colors_of(overview.series)
    named: set[str] = set()
    for series in overview.series:
        for name, points in series.lines.items():
            label = "_" if name in named else name
            named.add(name)
            _draw_line(panel, points, metric, _COLORS[colors[name] % len(_COLORS)], label)
    _mark_alarms(panel, overview, metric)
    _mark_milestones(panel, overview.milestones)
    low, high = panel.get_ylim()
    missing = max(_LEAST_RANGE - (high - low), 0) / 2
    panel.set_ylim(low - missing, high + missing)
    if len(overview.series) > 1:
        _mark_recipes(panel, overview.series)
    panel.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False)


def _draw_line(panel: Any, points: Sequence[Point], metric: str, color: str, label: str) -> None:
    measured = [
        (point.evaluation.ended_at.astimezone(), estimate)
        for point in points
        if (estimate := getattr(point.evaluation.scores, metric)).value is not None
    ]
    if not measured:
        return
    values = [estimate.value for _, estimate in measured]
    below = [0 if one.low is None else max(one.value - one.low, 0) for _, one in measured]
    above = [0 if one.high is None else max(one.high - one.value, 0) for _, one in measured]
    moments = [moment for moment, _ in measured]
    panel.errorbar(moments, values, (below, above), fmt="none", ecolor=color, alpha=0.3, elinewidth=3)
    panel.plot(moments, values, color=color, marker="o", markersize=5, linewidth=1.8, label=label)


def _mark_alarms(panel: Any, overview: Overview, metric: str) -> None:
    alarmed = [
        (point.evaluation.ended_at.astimezone(), alarm.value)
        for series in overview.series
        for point in series.points
        for alarm in overview.alarms.get(point.evaluation.id, ())
        if alarm.metric == metric
    ]
    if alarmed:
        moments, values = zip(*alarmed, strict=True)
        panel.scatter(
            moments, values, s=110, facecolors="none", edgecolors=_ALARM, linewidths=2, label="alarm", zorder=5
        )


def _mark_milestones(panel: Any, milestones: Sequence[Milestone]) -> None:
    """A line where another version came to serve, a cross where the gate rejected one; each kind is named once."""
    colors = {MilestoneKind.PROMOTED: _PROMOTED, MilestoneKind.ROLLED_BACK: _ROLLED_BACK}
    named: set[MilestoneKind] = set()
    for one in milestones:
        label = "_" if one.kind in named else str(one.kind)
        if one.serves:
            panel.axvline(one.at.astimezone(), color=colors[one.kind], linewidth=1.2, alpha=0.8, label=label)
        elif one.kind is MilestoneKind.REJECTED:
            panel.plot(
                [one.at.astimezone()],
                [0.04],
                "x",
                color=_ALARM,
                markersize=7,
                markeredgewidth=2,
                transform=panel.get_xaxis_transform(),
                label=label,
            )
        named.add(one.kind)


def _mark_recipes(panel: Any, series: Sequence[Series]) -> None:
    for number, one in enumerate(series):
        begins = one.points[0].evaluation.ended_at.astimezone()
        panel.axvline(begins, color=_RECIPE, linestyle=(0, (4, 4)), linewidth=1)
        panel.annotate(
            f"recipe {one.letter}",
            (begins, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, -11 - 11 * (number % _STAGGER)),
            textcoords="offset points",
            fontsize=8.5,
            color="#7a6200",
        )


def _draw_work(panel: Any, weeks: Sequence[Week]) -> None:
    panel.set_title("What the service transcribed: hours of audio per week", loc="left", fontsize=11)
    panel.bar(_mondays(weeks), [week.hours for week in weeks], width=_DAYS_OF_BAR, align="edge", color="#8fb0df")
    for week, moment in zip(weeks, _mondays(weeks), strict=True):
        speed = "" if week.rtfx is None else f", {week.rtfx:.0f}×"
        panel.annotate(
            f"{week.recordings}{speed}", (moment, week.hours), xytext=(0, 2), textcoords="offset points", fontsize=8
        )
    panel.margins(y=0.15)
    panel.set_ylabel("hours; above: recordings,\ntimes real time", fontsize=8.5)


def _draw_quality(panel: Any, weeks: Sequence[Week]) -> None:
    panel.set_title("How sure it was: share to review and mean confidence per week, percent", loc="left", fontsize=11)
    sure = [
        (moment, 100 * week.confidence)
        for moment, week in zip(_mondays(weeks), weeks, strict=True)
        if week.confidence is not None
    ]
    panel.plot(_mondays(weeks), [100 * week.review_share for week in weeks], "s-", color=_COLORS[1], label="to review")
    if sure:
        panel.plot(*zip(*sure, strict=True), "o-", color=_COLORS[0], label="confidence")
    panel.set_ylim(0, 100)
    panel.legend(loc="center left", bbox_to_anchor=(1.005, 0.5), frameon=False)


def _mondays(weeks: Sequence[Week]) -> list[datetime]:
    return [datetime.combine(week.monday, time()).astimezone() for week in weeks]


def _say_nothing(panel: Any, words: str) -> None:
    panel.text(0.5, 0.5, words, transform=panel.transAxes, ha="center", va="center", color="#5d6b7a")
    panel.set_xticks([])
    panel.set_yticks([])


def _tidy(panel: Any) -> None:
    from matplotlib import dates

    axis: Any = dates
    panel.grid(axis="y", color=_GRID)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    if panel.has_data():
        locator = axis.AutoDateLocator(minticks=4, maxticks=8)
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(
            axis.ConciseDateFormatter(locator, formats=_DATES, zero_formats=_DATES, show_offset=False)
        )
