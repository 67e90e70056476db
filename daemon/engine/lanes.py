"""Batches that are decoded side by side, each in a thread of its own.

A step of the decoder is so small that threads which share it wait for each other most of the time: two cores that decode a batch each
do twice as much as two that share one.
"""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.engine.pool import Window
    from medasr.types import Hypothesis, Waveform
    from medasr.whisper.transcriber import Transcriber


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A batch that a lane is done with."""

    windows: Sequence[Window]
    hypotheses: Sequence[Hypothesis] | None  #: one a window; None when memory ran out
    seconds: float  #: that it took, divided by the lanes that were busy meanwhile
    alone: bool  #: no other lane was busy when it began


class Lanes:
    """As many batches at a time as the transcriber can decode side by side. Use from one thread."""

    def __init__(self, transcriber: Transcriber) -> None:
        self._transcriber = transcriber
        self._threads = ThreadPoolExecutor(transcriber.lanes, thread_name_prefix="lane")
        self._running: list[Future[Decoded]] = []
        self.count = transcriber.lanes  #: that are used

    @property
    def free(self) -> int:
        """How many batches may be started."""
        return self.count - len(self._running)

    @property
    def busy(self) -> bool:
        """Whether any batch is being decoded."""
        return bool(self._running)

    def start(self, windows: Sequence[Window], samples: list[Waveform], lists: list[str]) -> None:
        """Decode a batch: windows, their samples, and the names of their lists of terms."""
        busy = len(self._running) + 1
        self._running.append(self._threads.submit(self._decode, windows, samples, lists, busy))

    def wait(self) -> list[Decoded]:
        """The batches that are done; wait for one. What a transcriber raised is raised here."""
        done, _ = wait(self._running, return_when=FIRST_COMPLETED)
        finished = [future for future in self._running if future in done]
        self._running = [future for future in self._running if future not in done]
        return [future.result() for future in finished]

    def _decode(self, windows: Sequence[Window], samples: list[Waveform], lists: list[str], busy: int) -> Decoded:
        began = time.monotonic()
        hypotheses = self._transcribe(samples, lists)
        seconds = (time.monotonic() - began) / busy
        return Decoded(windows=windows, hypotheses=hypotheses, seconds=seconds, alone=busy == 1)

    def _transcribe(self, samples: list[Waveform], lists: list[str]) -> list[Hypothesis] | None:
        """The failed attempt's tensors are free again on return."""
        try:
            return self._transcriber.transcribe(samples, lists)
        except MemoryError:
            return None
