"""Leaving something alone for a while after it failed, whatever the clock does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

#: How long something is left alone after trouble with the machine: disk full, database locked, share away.
PAUSE = timedelta(seconds=10)


class Pause:
    """A wait that begins with a failure."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._began: datetime | None = None

    def begin(self) -> None:
        """It failed just now."""
        self._began = self._now()

    @property
    def on(self) -> bool:
        """Whether it is to be left alone; a clock that was set back ends the pause, so that it cannot last for years."""
        return self._began is not None and timedelta(0) <= self._now() - self._began < PAUSE
