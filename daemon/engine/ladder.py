"""How much the next model child tries after one was lost, and when. Pure decisions: the time is given.

The ladder leads from the configured batch size to half of it, and so on to one window, then to the CPU. Whoever went down tries
the configured values again after a while: what took the memory may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from daemon.engine.protocol import EngineFailure

#: For so long the smaller values are kept.
LOWERED_SECONDS = 3600.0

#: After this many children lost in a row without a finished recording, the host rests before it starts the next, each time longer.
GIVE_UP_AFTER = 5
FIRST_REST_SECONDS = 60.0
LONGEST_REST_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How much memory a child may need."""

    batch_size: int
    device: Literal["auto", "cuda", "cpu"]


class Ladder:
    """The rung in use, between the configured one and a single window on the CPU."""

    def __init__(self, top: Rung) -> None:
        self._top = top
        self._lowered_at: float | None = None
        self.rung = top

    @property
    def on_fallback_device(self) -> bool:
        """Whether the device in use is not the configured one."""
        return self.rung.device != self._top.device

    def lower(self, failure: EngineFailure, *, tried: int, device: str | None, now: float) -> bool:
        """Go down a rung if that may help; return whether it was possible.

        Given the smallest batch that failed (1 when it failed before there was any) and the device it failed on (None when
        unknown). Out of memory: half the batch, after a batch of one the CPU. Hung: half the batch, which may only have been too slow.
        """
        if tried > 1 and failure in (EngineFailure.OUT_OF_MEMORY, EngineFailure.HUNG):
            self.rung = replace(self.rung, batch_size=tried // 2)
        elif failure is EngineFailure.OUT_OF_MEMORY and "cpu" not in (self.rung.device, device):
            self.rung = Rung(batch_size=self._top.batch_size, device="cpu")
        else:
            return False
        self._lowered_at = now
        return True

    def finished(self, batch_size: int, now: float) -> str:
        """Note the batch size with which a recording was finished, which the child may have halved by itself.

        Return in words what was less than configured: ``cpu``, ``batch 2``, ``cpu, batch 2``, or nothing.
        """
        parts = ["cpu"] if self.on_fallback_device else []
        if batch_size < self._top.batch_size:
            parts.append(f"batch {batch_size}")
            if self._lowered_at is None:
                self._lowered_at = now
        return ", ".join(parts)

    def expired(self, now: float) -> bool:
        """Whether it is time to try the configured values again."""
        return self._lowered_at is not None and now - self._lowered_at >= LOWERED_SECONDS

    def reset(self) -> None:
        """Back to the configured values."""
        self.rung, self._lowered_at = self._top, None


class Patience:
    """How often in a row the child was lost, and how long to rest when that happens too often."""

    def __init__(self) -> None:
        self._rest_until = float("-inf")
        self.lost_in_row = 0

    def lost(self, now: float) -> None:
        """Count a lost child."""
        self.lost_in_row += 1
        if self.lost_in_row >= GIVE_UP_AFTER:
            doubled = min(self.lost_in_row - GIVE_UP_AFTER, 10)
            self._rest_until = now + min(FIRST_REST_SECONDS * 2**doubled, LONGEST_REST_SECONDS)

    def finished(self) -> None:
        """A recording was finished: the child works."""
        self.lost_in_row = 0

    def resting(self, now: float) -> bool:
        """Whether no child should be started yet."""
        return now < self._rest_until
