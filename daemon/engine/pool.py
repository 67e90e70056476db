"""Which windows the model decodes next. Pure bookkeeping: no audio, no model, no clock."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medasr.types import Hypothesis, SpeechSpan

#: Windows looked at to fill a batch, in batches: nothing is overtaken by what lies farther behind.
LOOK_AHEAD = 4


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of one recording, to be decoded at once."""

    recording: str
    index: int  #: among the recording's windows
    span: SpeechSpan
    context: float = 0.0  #: seconds that the model computes for it
    urgent: bool = False
    number: int = 0  #: of its recording among all that were ever added: one may be dropped and come again


@dataclass(kw_only=True)
class _Recording:
    number: int
    windows: list[SpeechSpan]
    hypotheses: dict[int, Hypothesis] = field(default_factory=dict)


def choose(waiting: Sequence[Window], limit: int) -> list[Window]:
    """The next batch of at most ``limit`` windows, whichever recordings they belong to.

    Given those that wait, the first of them, and behind it the next that the model computes over the same length: nobody pays for the
    silence that would fill a short window up to a long one, and no window is heard otherwise because of its company.
    """
    alike = (window for window in waiting if window.context == waiting[0].context)
    return [window for window, _ in zip(alike, range(limit), strict=False)]


def shared_out(windows: Sequence[Window], parts: int) -> list[list[Window]]:
    """At most so many batches of the windows, in order, as equal as can be and none empty."""
    size, longer = divmod(len(windows), parts)
    ends = [part * size + min(part, longer) for part in range(parts + 1)]
    return [list(windows[first:last]) for first, last in itertools.pairwise(ends) if last > first]


class WindowPool:
    """The windows of all recordings at work, urgent ones first, then in order of arrival, and the hypotheses so far."""

    def __init__(self, context: Callable[[float], float] = lambda _seconds: 0.0) -> None:
        """``context``: the length of a window → the length that the model computes for it, both in seconds."""
        self._context = context
        self._recordings: dict[str, _Recording] = {}
        self._waiting: list[Window] = []
        self._added = 0

    def __len__(self) -> int:
        """How many windows wait to be decoded."""
        return len(self._waiting)

    @property
    def urgent(self) -> bool:
        """Whether urgent windows wait."""
        return bool(self._waiting) and self._waiting[0].urgent

    def wants_more(self, limit: int, *, urgent: bool = False) -> bool:
        """Whether further windows might fill the next batch of ``limit``: urgent ones, or any."""
        waiting = [window for window in self._waiting if window.urgent] if urgent else self._waiting
        return len(waiting) < LOOK_AHEAD * limit and len(choose(waiting, limit)) < limit

    def add(self, recording: str, windows: Sequence[SpeechSpan], *, urgent: bool = False) -> None:
        """Put a recording's windows behind all others, but urgent ones before those that are not."""
        self._added += 1
        self._recordings[recording] = _Recording(number=self._added, windows=list(windows))
        new = (
            Window(
                recording=recording,
                index=index,
                span=span,
                context=self._context(span.seconds),
                urgent=urgent,
                number=self._added,
            )
            for index, span in enumerate(windows)
        )
        self._queue(*self._waiting, *new)

    def take(self, limit: int) -> list[Window]:
        """Remove and return the next batch; deliver its hypotheses, or give it back."""
        batch = choose(self._waiting, limit)
        taken = {(window.recording, window.index) for window in batch}
        self._waiting = [window for window in self._waiting if (window.recording, window.index) not in taken]
        return batch

    def give_back(self, batch: Sequence[Window]) -> None:
        """Put an undecoded batch in front again, behind what is urgent unless it is itself."""
        self._queue(*batch, *self._waiting)

    def expects(self, window: Window) -> bool:
        """Whether a window's hypothesis is still wanted: its recording was not dropped, nor came again since."""
        entry = self._recordings.get(window.recording)
        return entry is not None and entry.number == window.number

    def deliver(self, window: Window, hypothesis: Hypothesis) -> None:
        """Take a window's hypothesis."""
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

    def _queue(self, *windows: Window) -> None:
        self._waiting = sorted(windows, key=lambda window: not window.urgent)
