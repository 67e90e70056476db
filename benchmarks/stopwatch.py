"""Where time goes: seconds by stage, of calls that are made within each other."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Stopwatch:
    """Seconds by stage. While a stage runs within another, the outer one stands still; unless that counts as a whole."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._clock = clock
        self._stages: list[str] = []
        self._whole = False
        self._since = 0.0

    @property
    def stage(self) -> str:
        """What runs now; empty when nothing does."""
        return self._stages[-1] if self._stages else ""

    @contextmanager
    def running(self, stage: str, *, whole: bool = False) -> Iterator[None]:
        """Count what follows; ``whole`` has it count whatever stages run within."""
        if self._whole:
            yield
            return
        self._note()
        self._stages.append(stage)
        self._whole = whole
        try:
            yield
        finally:
            self._note()
            self._stages.pop()
            self._whole = False

    def timed(self, stage: str, function: Callable[_P, _T], *, whole: bool = False) -> Callable[_P, _T]:
        """A function whose calls count as a stage."""

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with self.running(stage, whole=whole):
                return function(*args, **kwargs)

        return call

    def _note(self) -> None:
        now = self._clock()
        if self._stages:
            self.seconds[self.stage] += now - self._since
        self._since = now
