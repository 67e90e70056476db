"""A sign of life that cannot be blessed by mistake: each thread says by when its next one is due."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pulse:
    """One thread's promise to show up again; read by the watchdog from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = float("inf")

    def expect(self, seconds: float) -> None:
        """The next step begins now and takes at most so many seconds."""
        self._due = self._clock() + seconds

    def rest(self) -> None:
        """The thread has ended in good order, or is not started yet."""
        self._due = float("inf")

    @property
    def late(self) -> bool:
        """Whether the next sign is overdue: the thread hangs."""
        return self._clock() > self._due
