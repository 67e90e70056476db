"""Batches that are decoded side by side, each in a thread of its own.

A step of the decoder is so small that threads which share it wait for each other most of the time: two cores that decode a batch each
do twice as much as two that share one.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.engine.pool import Window
    from medasr.types import Hypothesis, Waveform
    from medasr.whisper.transcriber import Transcriber

#: So many batches, for each lane, may begin after one that is still decoded.
_MOST_BEHIND = 4
#: So soon it is seen whether there is something to do for a free lane.
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A batch that a lane is done with."""

    windows: Sequence[Window]
    hypotheses: Sequence[Hypothesis] | None  #: one a window; None when memory ran out
    seconds: float  #: that it took, divided among the batches that were decoded meanwhile
    alone: bool  #: no other was


@dataclass(kw_only=True)
class _Running:
    number: int  #: among all that were ever started
    windows: Sequence[Window]
    outcome: Future[tuple[list[Hypothesis] | None, float]]
    together: int  #: batches that were decoded at a time, at most, since it began


class Lanes:
    """As many batches at a time as the transcriber can decode side by side. Use from one thread."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber
        numbers = itertools.count()
        self._threads = ThreadPoolExecutor(
            transcriber.lanes, thread_name_prefix="lane", initializer=lambda: transcriber.enter_lane(next(numbers))
        )
        self._running: list[_Running] = []
        self._started = 0
        self.count = transcriber.lanes  #: that are used

    @property
    def free(self) -> bool:
        """Whether a batch may be started.

        Not beside one that many began after: if that one hangs, nobody would notice for as long as the others show signs of progress.
        """
        behind = self._started - self._running[0].number if self._running else 0
        return len(self._running) < self.count and behind < _MOST_BEHIND * self.count

    @property
    def busy(self) -> bool:
        """Whether any batch is being decoded."""
        return bool(self._running)

    def start(self, windows: Sequence[Window], samples: list[Waveform], lists: list[str]) -> None:
        """Decode a batch: windows, their samples, and the names of their lists of terms."""
        outcome = self._threads.submit(self._decode, samples, lists)
        self._running.append(_Running(number=self._started, windows=windows, outcome=outcome, together=1))
        self._started += 1
        for running in self._running:
            running.together = max(running.together, len(self._running))

    def wait(self) -> list[Decoded]:
        """The batches that are done; wait for one, but not long while another could be started. What a transcriber raised is raised here."""
        outcomes = [running.outcome for running in self._running]
        done, _ = wait(outcomes, _LOOK_SECONDS if self.free else None, FIRST_COMPLETED)
        finished = [running for running in self._running if running.outcome in done]
        self._running = [running for running in self._running if running.outcome not in done]
        return [_decoded(running) for running in finished]

    def _decode(self, samples: list[Waveform], lists: list[str]) -> tuple[list[Hypothesis] | None, float]:
        began = time.monotonic()
        hypotheses = self._transcribe(samples, lists)
        return hypotheses, time.monotonic() - began

    def _transcribe(self, samples: list[Waveform], lists: list[str]) -> list[Hypothesis] | None:
        """The failed attempt's tensors are free again on return."""
        try:
            return self._transcriber.transcribe(samples, lists)
        except MemoryError:
            return None


def _decoded(running: _Running) -> Decoded:
    hypotheses, seconds = running.outcome.result()
    return Decoded(
        windows=running.windows,
        hypotheses=hypotheses,
        seconds=seconds / running.together,
        alone=running.together == 1,
    )
