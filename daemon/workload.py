"""The jobs that a worker has in hand, and whether it may claim more. Pure bookkeeping: no store, no model, no clock.

Decoded audio lies on the disk until its recording is transcribed, so there is a limit to it. Urgent recordings have a limit of their
own: however much of the others was decoded ahead, there is room for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from daemon.store.states import Priority

#: Recordings in work at most, however short they are: what is in work has to be put back when the daemon is told to stop.
MOST_IN_WORK = 1000


@dataclass(kw_only=True)
class _Held:
    recording_id: str
    priority: Priority
    seconds: float = 0.0  #: of decoded audio


@dataclass(kw_only=True)
class Workload:
    """The jobs in work, from claim to result; iterating gives their numbers."""

    backlog_seconds: (
        float  #: of decoded audio; at that much nothing more is claimed, so that one recording may go beyond it
    )
    alone: bool = False  #: the job in work failed before, with others; nothing else runs beside it
    _held: dict[int, _Held] = field(default_factory=dict)

    def __contains__(self, job_id: int) -> bool:
        """Whether the job is in work."""
        return job_id in self._held

    def __iter__(self) -> Iterator[int]:
        """The jobs in work, in the order of their claims."""
        return iter(list(self._held))

    def __len__(self) -> int:
        """How many jobs are in work."""
        return len(self._held)

    def recording(self, job_id: int) -> str:
        """The recording of a job in work."""
        return self._held[job_id].recording_id

    def claimable(self) -> Priority | None:
        """The least priority that a job must have to be claimed now; None when there is no room for any."""
        if self.alone:
            return None
        urgent = [held for held in self._held.values() if held.priority is Priority.URGENT]
        if self._has_room(list(self._held.values())):
            return Priority.ORDINARY
        return Priority.URGENT if self._has_room(urgent) else None

    def add(self, job_id: int, recording_id: str, priority: Priority) -> None:
        """A job was claimed."""
        self._held[job_id] = _Held(recording_id=recording_id, priority=priority)

    def decoded(self, job_id: int, seconds: float) -> None:
        """So much audio of a job lies ready for the model."""
        self._held[job_id].seconds = seconds

    def remove(self, job_id: int) -> None:
        """A job is no longer in work, and its audio is gone."""
        self._held.pop(job_id, None)
        if not self._held:
            self.alone = False

    def _has_room(self, held: list[_Held]) -> bool:
        return len(held) < MOST_IN_WORK and sum(item.seconds for item in held) < self.backlog_seconds
