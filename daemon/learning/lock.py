"""The lock of a home's trainings: whoever holds it is the only one that learns there, and says which run it works on.

The kernel lets it go when its last holder ends, however that ends. The training's own process holds it beside its parent, which it may
outlive for a moment.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.lock import is_locked
from medasr.errors import AlreadyRunning

#: How long a process that was not asked to wait still does so for one that is just ending, and how often it looks.
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.1
_LOCK = "lock"
_DIGITS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingLock:
    """The lock while it is held."""

    descriptor: int  #: a process that inherits it holds the lock too

    def work_on(self, run: int) -> None:
        """Say which run of the learning cycle is worked on, for as long as the lock is held."""
        os.pwrite(self.descriptor, f"{run:{_DIGITS}}".encode(), 0)


@contextmanager
def one_training(trainings: Path, *, wait: bool = False) -> Iterator[TrainingLock]:
    """Hold the lock of a home's trainings. When another process trains, wait for it, or raise AlreadyRunning if it does not end soon."""
    trainings.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(trainings / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        if wait:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _take(descriptor)
        os.ftruncate(descriptor, 0)  # what its last holder worked on
        yield TrainingLock(descriptor=descriptor)
    finally:
        os.close(descriptor)


def run_in_work(trainings: Path) -> int | None:
    """The run of the learning cycle that a process works on now; None when none does, or it only trains."""
    file = trainings / _LOCK
    return int(file.read_bytes() or 0) or None if is_locked(file) else None


def in_words(state: str, *, working: bool) -> str:
    """A state of a run that has not ended, and whether anybody works on it."""
    return state if working else f"interrupted while {state}, goes on with the next run"


def _take(descriptor: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise AlreadyRunning(
                    "a training is under way in this home, or the process of one that was killed has not ended yet; `medasrd learn "
                    "status` shows how far it is"
                ) from None
        time.sleep(LOOK_SECONDS)
