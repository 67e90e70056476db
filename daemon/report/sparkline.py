"""A trend in one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.report.history import Point

_BARS = "▁▂▃▄▅▆▇█"
#: Below this range, in percentage points, the bars are not stretched to the full height: noise must not look like a cliff.
LEAST_RANGE = 2.0


def sparkline(values: Sequence[float | None]) -> str:
    """Give one bar for each value, the tallest for the largest; a gap where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    extent = max(max(known) - min(known), LEAST_RANGE)
    floor = (max(known) + min(known) - extent) / 2
    return "".join(" " if value is None else _BARS[_step((value - floor) / extent)] for value in values)


def trend(points: Sequence[Point], metric: str, *, width: int) -> str:
    """Give the sparkline of a metric over the last so many evaluations of a line."""
    return sparkline([getattr(point.evaluation.scores, metric).value for point in points[-width:]])


def _step(share: float) -> int:
    return min(max(round(share * (len(_BARS) - 1)), 0), len(_BARS) - 1)
