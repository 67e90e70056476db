"""Recordings through the model child without a queue, for who has them all at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medasr.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from daemon.engine.host import EngineHost
    from daemon.engine.protocol import EngineEvent

_TURN_SECONDS = 5.0


def transcribe_all(
    host: EngineHost, items: Iterable[tuple[str, Path]], backlog_seconds: float = 3600.0
) -> Iterator[EngineEvent]:
    """Transcribe recordings (id, normalized audio) without a queue; give every event until all have completed or failed.

    Hand over ``backlog_seconds`` of audio at a time. Raise EngineError when the child keeps dying, ModelError as ``poll`` does.
    """
    waiting = iter(items)
    item = next(waiting, None)
    while item or host.in_flight:
        while item and host.pending_seconds < backlog_seconds:
            host.submit(*item)
            item = next(waiting, None)
        yield from host.poll(_TURN_SECONDS)
        if not host.healthy:
            raise EngineError("the model process keeps dying; `medasrd doctor` looks for the reason")
