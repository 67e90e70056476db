"""Where the points and lines of a metric's chart lie, for the page's drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from daemon.report.history import model_name
from daemon.report.words import NAMES, day

if TYPE_CHECKING:
    from daemon.report.history import Point, Series
    from daemon.report.milestones import Milestone

WIDTH, HEIGHT = 960, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 26, 30
#: Percentage points that a chart shows at least: noise must not look like a cliff.
LEAST_RANGE = 4.0
_TICKS = 5
#: Within so little time hours tell more than dates.
_SHORT = timedelta(days=3)
#: Names of recipes that begin closer together than this would stand in each other.
_NAME_WIDTH = 64


@dataclass(frozen=True, kw_only=True)
class Dot:
    """An evaluation in a chart."""

    x: float
    y: float
    low: float | None  #: where the interval ends, further down
    high: float | None
    title: str  #: shown when the pointer rests on it
    alarm: bool


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """The dots of one line of one series, and the path through them."""

    color: int  #: 0, 1, 2 ...: the same for a line in all series
    dots: tuple[Dot, ...]

    @property
    def path(self) -> str:
        """The path in SVG's language."""
        return "M" + "L".join(f"{dot.x:.1f} {dot.y:.1f}" for dot in self.dots)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Where another version came to serve, or was rejected."""

    x: float
    kind: str
    title: str  #: shown when the pointer rests on it


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A metric over time."""

    metric: str
    name: str
    strokes: tuple[Stroke, ...]
    levels: tuple[tuple[float, str], ...]  #: height and label of each horizontal line
    days: tuple[tuple[float, str], ...]  #: place and label on the axis of time
    recipes: tuple[tuple[float, str], ...]  #: where each further recipe begins
    turns: tuple[Turn, ...]


def chart(
    series: Sequence[Series],
    metric: str,
    alarmed: frozenset[int] = frozenset(),
    milestones: Sequence[Milestone] = (),
) -> Chart | None:
    """Given series, at least one, lay a metric out; None where nobody could measure it."""
    points = [point for one in series for point in one.points if _value(point, metric) is not None]
    if not points:
        return None
    across = _Across([point.evaluation.ended_at for point in points] + [one.at for one in milestones])
    up = _Up(points, metric)
    colors = colors_of(series)
    strokes = [
        Stroke(color=colors[name], dots=tuple(_dot(point, metric, across, up, alarmed) for point in measured))
        for one in series
        for name, line in one.lines.items()
        if (measured := [point for point in line if _value(point, metric) is not None])
    ]
    return Chart(
        metric=metric,
        name=NAMES[metric],
        strokes=tuple(strokes),
        levels=up.levels(),
        days=across.days(),
        recipes=_recipes([(across(one.points[0].evaluation.ended_at), one.letter) for one in series]),
        turns=tuple(
            Turn(x=across(one.at), kind=str(one.kind), title=f"{day(one.at)}, {one.kind}: {one.version}\n{one.why}")
            for one in milestones
        ),
    )


def colors_of(series: Sequence[Series]) -> dict[str, int]:
    """Number the lines of all series."""
    return {name: number for number, name in enumerate(dict.fromkeys(name for one in series for name in one.lines))}


def _recipes(begins: Sequence[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    """Where recipes begin, with their names; one that begins soon after another shares the other's place."""
    marks: list[tuple[float, str]] = []
    for x, letter in sorted(begins):
        if marks and x - marks[-1][0] < _NAME_WIDTH:
            marks[-1] = (marks[-1][0], f"{marks[-1][1]}, {letter}")
        else:
            marks.append((x, letter))
    return tuple(marks)


class _Across:
    """The axis of time."""

    def __init__(self, moments: Sequence[datetime]) -> None:
        self._first, self._last = min(moments), max(moments)
        if self._first == self._last:
            self._first, self._last = self._first - timedelta(days=1), self._last + timedelta(days=1)

    def __call__(self, moment: datetime) -> float:
        share = (moment - self._first) / (self._last - self._first)
        return LEFT + 12 + share * (WIDTH - LEFT - RIGHT - 24)

    def days(self) -> tuple[tuple[float, str], ...]:
        """Evenly spread dates."""
        moments = [self._first + (self._last - self._first) * step / _TICKS for step in range(_TICKS + 1)]
        short = self._last - self._first < _SHORT
        labels = {f"{moment.astimezone():%m-%d %H:%M}" if short else day(moment): self(moment) for moment in moments}
        return tuple((x, label) for label, x in labels.items())


class _Up:
    """The axis of percent."""

    def __init__(self, points: Sequence[Point], metric: str) -> None:
        ends = []
        for point in points:
            estimate = getattr(point.evaluation.scores, metric)
            ends += [end for end in (estimate.value, estimate.low, estimate.high) if end is not None]
        missing = max(LEAST_RANGE - (max(ends) - min(ends)), 0) / 2
        self._step = _round_step((max(ends) - min(ends) + 2 * missing) / _TICKS)
        self._lowest = int((min(ends) - missing) // self._step)
        self._highest = -int(-(max(ends) + missing) // self._step)

    def __call__(self, percent: float) -> float:
        share = (percent / self._step - self._lowest) / (self._highest - self._lowest)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def levels(self) -> tuple[tuple[float, str], ...]:
        """Horizontal lines at round figures."""
        values = [number * self._step for number in range(self._lowest, self._highest + 1)]
        return tuple((self(value), f"{value:g}") for value in values)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20 ... percent."""
    return next((float(step) for step in (1, 2, 5, 10, 20, 50, 100) if step >= least), 500.0)


def _value(point: Point, metric: str) -> float | None:
    value: float | None = getattr(point.evaluation.scores, metric).value
    return value


def _dot(point: Point, metric: str, across: _Across, up: _Up, alarmed: frozenset[int]) -> Dot:
    one, estimate = point.evaluation, getattr(point.evaluation.scores, metric)
    known = estimate.low is not None and estimate.high is not None
    interval = f" ({estimate.low:.1f} to {estimate.high:.1f})" if known else ""
    return Dot(
        x=across(one.ended_at),
        y=up(estimate.value),
        low=up(estimate.low) if known else None,
        high=up(estimate.high) if known else None,
        title=f"no. {one.id}, {day(one.ended_at)}: {NAMES[metric]} {estimate.value:.1f}{interval}\n{point.line}: {model_name(one.model)}",
        alarm=one.id in alarmed,
    )
