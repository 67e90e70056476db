"""What the processes of a daemon hold of the machine's memory."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Often enough for a step of the model, which takes longer.
_INTERVAL = 0.2


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The memory of all processes at one moment, as proportional set size: what processes share counts once."""

    at: float  #: seconds of a monotonic clock
    proportional_bytes: int


def tree(daemon: psutil.Process) -> list[psutil.Process]:
    """The daemon and all that it has started."""
    return [daemon, *daemon.children(recursive=True)]


def resident_peak(processes: list[psutil.Process]) -> int:
    """The most bytes that one of them has held since it was started, as the kernel has noted it: no moment is missed."""
    statuses = [Path(f"/proc/{process.pid}/status").read_text(encoding="ascii") for process in processes]
    return max(int(found[1]) * 1024 for status in statuses if (found := re.search(r"VmHWM:\s+(\d+) kB", status)))


@contextmanager
def watched(daemon: psutil.Process) -> Iterator[list[Reading]]:
    """Read the memory of a daemon's processes again and again, into the list given."""
    readings: list[Reading] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_INTERVAL):
            readings.append(Reading(at=time.monotonic(), proportional_bytes=_proportional_bytes(daemon)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield readings
    finally:
        over.set()
        watcher.join()


def _proportional_bytes(daemon: psutil.Process) -> int:
    held = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in tree(daemon):
            with contextlib.suppress(psutil.NoSuchProcess):  # one that decoded a recording, and is done
                held += process.memory_full_info().pss
    return held
