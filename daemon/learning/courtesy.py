"""When learning has to make room: recordings come first where they do, and it works within its hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.evaluation.courtesy import stand_back

if TYPE_CHECKING:
    from daemon.config import Config


def make_room(config: Config, *, any_time: bool) -> Callable[[], bool]:
    """Give a function that tells whether to make room now; ``any_time``: whether the window of hours is ignored."""
    waiting = stand_back(config)

    def must_wait() -> bool:
        closed = not any_time and not config.learning.is_open(datetime.now().astimezone().time())
        return closed or (config.learning.recordings_first and waiting())

    return must_wait
