"""Which windows the model decodes next. Pure bookkeeping: no audio, no model, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medasr.types import Hypothesis, SpeechSpan


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of one recording, to be decoded at once."""

    recording: str
    index: int  #: among the recording's windows
    span: SpeechSpan


@dataclass(kw_only=True)
class _Recording:
    windows: list[SpeechSpan]
    hypotheses: dict[int, Hypothesis] = field(default_factory=dict)


def choose(waiting: Sequence[Window], limit: int) -> list[Window]:
    """The next batch of at most ``limit`` windows: the oldest first, whichever recordings they belong to."""
    return list(waiting[:limit])


class WindowPool:
    """The windows of all recordings at work, in order of arrival, and the hypotheses so far."""

    def __init__(self) -> None:
        self._recordings: dict[str, _Recording] = {}
        self._waiting: list[Window] = []

    def __len__(self) -> int:
        """How many windows wait to be decoded."""
        return len(self._waiting)

    def add(self, recording: str, windows: Sequence[SpeechSpan]) -> None:
        """Put a recording's windows behind all others."""
        self._recordings[recording] = _Recording(windows=list(windows))
        self._waiting += [Window(recording=recording, index=index, span=span) for index, span in enumerate(windows)]

    def take(self, limit: int) -> list[Window]:
        """Remove and return the next batch; deliver its hypotheses, or give it back."""
        batch = choose(self._waiting, limit)
        taken = {(window.recording, window.index) for window in batch}
        self._waiting = [window for window in self._waiting if (window.recording, window.index) not in taken]
        return batch

    def give_back(self, batch: Sequence[Window]) -> None:
        """Put an undecoded batch in front again."""
        self._waiting = [*batch, *self._waiting]

    def deliver(self, batch: Sequence[Window], hypotheses: Sequence[Hypothesis]) -> None:
        """Take a batch's hypotheses, one a window, in order."""
        for window, hypothesis in zip(batch, hypotheses, strict=True):
            self._recordings[window.recording].hypotheses[window.index] = hypothesis

    def progress(self, recording: str) -> tuple[int, int]:
        """How many of the recording's windows are decoded, and how many it has."""
        entry = self._recordings[recording]
        return len(entry.hypotheses), len(entry.windows)

    def finish(self, recording: str) -> tuple[list[SpeechSpan], list[Hypothesis]]:
        """Remove a recording whose windows are all decoded; return them with their hypotheses, in order of time."""
        entry = self._recordings.pop(recording)
        return entry.windows, [entry.hypotheses[index] for index in range(len(entry.windows))]

    def drop(self, recording: str) -> None:
        """Forget a recording, if it is known."""
        if self._recordings.pop(recording, None):
            self._waiting = [window for window in self._waiting if window.recording != recording]
