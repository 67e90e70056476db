"""How one figure is spread over many recordings: quantiles for a sentence, a histogram for a plot."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

#: About so many bars make a histogram that shows shape without showing chance.
_BARS = 32

#: The range shown reaches so many times the spread between 5th and 95th percentile beyond them: one recording of
#: a whole day must not squeeze thousands of short ones into a single bar.
_REACH = 2.0


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Quantiles and histogram of a figure over the recordings that have it."""

    unit: str
    count: int  #: recordings with this figure
    missing: int  #: recordings of which it is not known
    minimum: float
    low: float  #: 5th percentile
    median: float
    mean: float
    high: float  #: 95th percentile
    maximum: float
    edges: tuple[float, ...]  #: of the histogram's bars; one more than there are bars
    counts: tuple[int, ...]
    below: int  #: recordings left of the histogram
    above: int  #: recordings right of it


def describe(figures: Iterable[float | None], unit: str, *, whole: bool = False) -> Distribution | None:
    """Describe figures, of which None and what is no finite number count as missing; ``whole`` ones are counted one by one.

    Return None when not one is known.
    """
    given = list(figures)
    known = np.array([figure for figure in given if figure is not None and math.isfinite(figure)], dtype=np.float64)
    if not len(known):
        return None
    minimum, low, median, high, maximum = np.percentile(known, [0, 5, 50, 95, 100])
    reach = _REACH * (high - low)
    first, last = max(minimum, low - reach), min(maximum, high + reach)
    edges = _edges(float(first), float(last), whole=whole)
    counts, _ = np.histogram(known, edges)
    return Distribution(
        unit=unit,
        count=len(known),
        missing=len(given) - len(known),
        minimum=float(minimum),
        low=float(low),
        median=float(median),
        mean=float(known.mean()),
        high=float(high),
        maximum=float(maximum),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        below=int(np.sum(known < edges[0])),
        above=int(np.sum(known > edges[-1])),
    )


def _edges(first: float, last: float, *, whole: bool) -> np.ndarray:
    """Edges at multiples of 1, 2 or 5 times a power of ten; around whole numbers where the figures are counts."""
    step = _round_step((last - first) / _BARS)
    if whole:
        step = max(1.0, step)
        start = math.floor(first / step) * step - (0.5 if step == 1 else 0)
    else:
        start = math.floor(first / step) * step
    bars = max(1, math.floor((last - start) / step + 1e-9) + 1)
    return np.round(start + step * np.arange(bars + 1), 10)


def _round_step(wanted: float) -> float:
    if wanted <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= wanted * (1 - 1e-9))
