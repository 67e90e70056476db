"""Sides of a comparison take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from benchmarks.figures import Spread, tell


def take_turns(
    what: str, sides: Mapping[str, Callable[[], float]], rounds: int, once: Collection[str] = ()
) -> dict[str, Spread]:
    """The seconds that each side returns, round by round; every round begins with another side. Those in ``once`` take part in the first."""
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        names = [side for side in sides if number == 0 or side not in once]
        first = number % len(names)
        for side in [*names[first:], *names[:first]]:
            tell(f"{what}: round {number + 1} of {rounds}, {side}")
            taken[side].append(sides[side]())
    return {side: Spread(values=tuple(seconds)) for side, seconds in taken.items()}


def seconds_of(function: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def ratio(left: Spread, right: Spread) -> Spread:
    """Left by right, round by round; of the rounds in which both took part, the first ones."""
    return Spread(values=tuple(one / other for one, other in zip(left.values, right.values, strict=False)))


def beyond(spread: Spread, base: Spread) -> Spread:
    """What is more than the median of ``base``: it was not measured at the same moment, so single rounds do not compare."""
    return Spread(values=tuple(value - base.median for value in spread.values))
