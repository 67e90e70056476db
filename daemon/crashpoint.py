"""Named points at which a test lets the daemon die as if the power had failed."""

from __future__ import annotations

import os
import signal

#: The environment variable that arms one point; only tests set it.
VARIABLE = "MEDASRD_CRASH_POINT"


def crash_point(name: str) -> None:
    """Kill this process, without any clean-up, if a test armed the point ``name``; otherwise do nothing."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
