"""Bytes that a recorder writes after its file was taken: caught on the descriptor that is still open, never lost silently.

A recorder may pause longer than ``intake.settle_seconds`` and go on writing into a file that has been copied and removed.
The bytes then go to a file without a name, which exists as long as we keep it open.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from daemon.intake.arrival import Arrival, Fingerprint, fingerprint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LateBytes:
    """An original that was written to after it had been taken; now its owner takes it again, from ``descriptor``."""

    recording_id: str  #: the recording that was made of what the file held before
    taken: Arrival  #: as the file was then
    arrival: Arrival  #: as the file is now: to be copied from the descriptor
    descriptor: int  #: belongs to whoever got this; goes back with :meth:`LateWatch.keep` or :meth:`LateWatch.again`


@dataclass(slots=True)
class _Kept:
    recording_id: str
    arrival: Arrival
    descriptor: int
    kept_at: float
    fingerprint: Fingerprint
    unchanged_since: float

    @property
    def is_changed(self) -> bool:
        return self.fingerprint != self.arrival.fingerprint


class LateWatch:
    """Keeps the descriptors of removed originals for ``seconds`` and tells which of them were written to.

    At most ``limit`` are kept, the oldest give way. A file being written is reported when it has not changed for
    ``settle_seconds``, however long that takes. ``clock`` gives seconds that never go back.
    """

    def __init__(
        self, clock: Callable[[], float], settle_seconds: float, *, seconds: float = 60.0, limit: int = 128
    ) -> None:
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._seconds = seconds
        self._limit = limit
        self._kept: list[_Kept] = []
        self._found: list[LateBytes] = []  # what gave way, until the next check

    def keep(self, recording_id: str, arrival: Arrival, descriptor: int) -> None:
        """Take over the descriptor of an original that was just copied."""
        now = self._clock()
        self._kept.append(_Kept(recording_id, arrival, descriptor, now, arrival.fingerprint, now))
        oldest, self._kept = self._kept[: -self._limit], self._kept[-self._limit :]
        self._found += self._release(oldest)

    def again(self, late: LateBytes) -> None:
        """Take back what could not be copied now (it changed meanwhile, the disk is full): it will be reported again."""
        self.keep(late.recording_id, late.taken, late.descriptor)

    def check(self) -> list[LateBytes]:
        """Look at all; return those that were written to and are quiet again, and let go of those kept long enough."""
        now = self._clock()
        for kept in self._kept:
            self._look(kept, now)
        done = [kept for kept in self._kept if self._is_done(kept, now)]
        self._kept = [kept for kept in self._kept if not self._is_done(kept, now)]
        found, self._found = self._found, []
        return found + self._release(done)

    def close(self) -> list[LateBytes]:
        """Let go of all; return those that were written to, quiet or not: their bytes vanish with the descriptor."""
        kept, self._kept = self._kept, []
        found, self._found = self._found, []
        return found + self._release(kept)

    def __len__(self) -> int:
        """How many descriptors are kept."""
        return len(self._kept)

    def _look(self, kept: _Kept, now: float) -> None:
        try:
            found = fingerprint(os.fstat(kept.descriptor))
        except OSError:  # a share that no longer answers: there is nothing to be read from it either
            return
        if found != kept.fingerprint:
            kept.fingerprint, kept.unchanged_since = found, now

    def _is_done(self, kept: _Kept, now: float) -> bool:
        if kept.is_changed:
            return now - kept.unchanged_since >= self._settle_seconds
        return now - kept.kept_at >= self._seconds

    def _release(self, done: list[_Kept]) -> list[LateBytes]:
        found = []
        for kept in done:
            self._look(kept, self._clock())
            _, _, size, mtime_ns = kept.fingerprint
            if kept.is_changed and size > 0:
                arrival = replace(kept.arrival, size=size, mtime_ns=mtime_ns, sidecar=None)
                found.append(
                    LateBytes(
                        recording_id=kept.recording_id, taken=kept.arrival, arrival=arrival, descriptor=kept.descriptor
                    )
                )
                logger.warning(
                    "an original was written to after it had been taken",
                    extra={"recording_id": kept.recording_id, "code": "LATE_BYTES", "size": size},
                )
            else:
                os.close(kept.descriptor)
        return found
