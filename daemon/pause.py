"""Leaving something alone for a while after it failed, whatever the clock does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

#: How long something is left alone after trouble with the machine: disk full, database locked, share away.
PAUSE = timedelta(seconds=10)
#: The longest that one of many is left alone.
LONGEST = timedelta(minutes=1)


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


class Postponements:
    """What fails one by one is left alone, twice as long each time: what is wrong with it alone must not hold up the others."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._left: dict[int, tuple[datetime, timedelta]] = {}

    def put_off(self, key: int) -> None:
        """It failed just now, perhaps again."""
        _, before = self._left.get(key, (None, PAUSE / 2))
        self._left[key] = (self._now(), min(2 * before, LONGEST))

    def done(self, key: int) -> None:
        """It went well."""
        self._left.pop(key, None)

    @property
    def waiting(self) -> list[int]:
        """Those that are left alone now."""
        now = self._now()
        return [key for key, (failed, wait) in self._left.items() if timedelta(0) <= now - failed < wait]
