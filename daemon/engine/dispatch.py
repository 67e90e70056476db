"""Which recordings the model child gets, and which of them is to blame for its end. Pure bookkeeping: no processes, no clock.

A child dies of the machine as often as of a recording, so a recording is blamed only when a child dies while it works on that one
alone; what a child was busy with when it died is suspect, and tried alone, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Pending:
    """A recording that was submitted and is not finished."""

    id: str
    pcm: Path
    seconds: float  #: of audio
    urgent: bool = False
    terms: str = ""  #: name of its list of terms; empty for none


class Dispatch:
    """Which recordings the child gets: all of them, urgent ones first, or, while there are suspects, one suspect alone.

    Urgent ones that are no suspects come before the suspects, and wait for at most the one that is being tried.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._sent: set[str] = set()
        self._suspects: list[str] = []
        self._trial: str | None = None

    def __contains__(self, recording: str) -> bool:
        """Whether the recording is pending."""
        return recording in self._pending

    @property
    def pending(self) -> Collection[Pending]:
        """Every recording submitted and not finished."""
        return self._pending.values()

    @property
    def busy(self) -> bool:
        """Whether the child has recordings to work on."""
        return bool(self._sent)

    @property
    def probing(self) -> bool:
        """Whether suspects are being tried one by one."""
        return self._trial is not None or bool(self._suspects)

    def add(self, pending: Pending) -> None:
        """Put a recording behind all others."""
        self._pending[pending.id] = pending

    def remove(self, recording: str) -> None:
        """Forget a recording: finished, failed or cancelled."""
        self._pending.pop(recording, None)
        self._sent.discard(recording)
        self._suspects = [suspect for suspect in self._suspects if suspect != recording]
        if self._trial == recording:
            self._trial = None

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def due(self, *, only_urgent: bool = False) -> list[Pending]:
        """The recordings to hand to the child now, or those of them that are urgent; they count as sent from here on."""
        if self._trial is not None:
            return []
        waiting = [
            pending
            for recording, pending in self._pending.items()
            if recording not in self._sent and recording not in self._suspects
        ]
        urgent = [pending for pending in waiting if pending.urgent]
        if self._suspects and not urgent:
            found = self._next_trial()
        elif self._suspects or only_urgent:
            found = urgent
        else:
            found = urgent + [pending for pending in waiting if not pending.urgent]
        self._sent.update(pending.id for pending in found)
        return found

    def _next_trial(self) -> list[Pending]:
        """A suspect, alone; nothing while the child has anything else."""
        if self._sent:
            return []
        self._trial = min(self._suspects, key=lambda suspect: not self._pending[suspect].urgent)
        self._suspects.remove(self._trial)
        return [self._pending[self._trial]]

    def lost(self, working: Collection[str], *, blame: bool) -> str | None:
        """The child is gone, and with it everything sent; ``working`` are the recordings it was busy with.

        Return the recording that is to blame, which is forgotten: the one that was tried alone, when ``blame`` allows it. Whatever
        else the child was busy with becomes suspect, the rest is innocent; both are sent again.
        """
        trial, self._trial = self._trial, None
        self._sent.clear()
        if trial is not None and trial in working and blame:
            self.remove(trial)
            return trial
        suspects = [recording for recording in self._pending if recording in working]
        if trial is not None and trial not in suspects:
            suspects.append(trial)
        self._suspects = suspects + [suspect for suspect in self._suspects if suspect not in suspects]
        return None
