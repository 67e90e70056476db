"""Recordings come first: an evaluation stands back while the daemon has any to transcribe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from daemon import home
from daemon.store.states import IN_WORK, JobState, job_counts
from medasr.errors import StoreError

if TYPE_CHECKING:
    from daemon.config import Config

#: How often it is looked; a look opens the database.
LOOK_SECONDS = 1.0


def stand_back(config: Config, clock: Callable[[], float] = time.monotonic) -> Callable[[], bool]:
    """Give a function that tells whether to hold back now; it may be called as often as one likes."""
    looked_at = float("-inf")
    waiting = False

    def must_wait() -> bool:
        nonlocal looked_at, waiting
        if clock() - looked_at >= LOOK_SECONDS:
            waiting = recordings_wait(config)
            looked_at = clock()
        return waiting

    return must_wait


def recordings_wait(config: Config) -> bool:
    """Whether a daemon serves this home and has recordings to transcribe now; one that waits for its next attempt does not count."""
    if not home.is_held(config.paths.state):
        return False
    try:
        counts = job_counts(config.paths.database)
    except StoreError:  # the daemon is making it
        return True
    return any(counts[state] for state in (JobState.RECEIVED, *IN_WORK))
