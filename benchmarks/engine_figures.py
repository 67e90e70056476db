"""What the comparison of programs shows: speed, correctness and memory of each, and medasr's lead where there is a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.correctness import Correctness
from benchmarks.figures import Grid, Line, Spread
from benchmarks.programs.running import MEDASR, STOCK
from benchmarks.programs.written import SHORT
from benchmarks.turns import ratio

#: How many times the throughput of faster-whisper is to be reached: on short recordings where windows may be short, on long ones.
SHORT_LEAD = 10.0
LONG_LEAD = 2.5
#: Memory of the whole process, GB.
PEAK = 1.5


@dataclass(frozen=True, kw_only=True)
class SideFigures:
    """A program on a set or a part of it."""

    seconds: Spread  #: for all recordings, round by round
    audio_seconds: float  #: of these
    correctness: Correctness

    @property
    def speed(self) -> Spread:
        """In times real time."""
        return Spread(values=tuple(self.audio_seconds / value for value in self.seconds.values))


@dataclass(frozen=True, kw_only=True)
class SetFigures:
    """All programs on one set of recordings."""

    model: str
    name: str  #: of the set
    way: str
    recordings: int
    audio_seconds: float
    sides: Mapping[str, SideFigures]
    rivals: tuple[str, ...]  #: of the sides, those that medasr is held against
    short_windows: bool  #: whether what serves computes windows of less than 30 s
    learned: bool  #: whether what serves has learned from these recordings, so that few errors say nothing

    def grid(self) -> Grid:
        """A row for each program."""
        return Grid(
            title=f"{self.model}, {self.name}: {self.recordings} of {self.audio_seconds / 60:.1f} min together",
            columns=("times real time", "medasr is faster by", "normalized WER, %", "left out, %", "covered, %"),
            rows={
                self._label(name): (
                    side.speed,
                    None if name == MEDASR.name else ratio(self.sides[MEDASR.name].speed, side.speed),
                    side.correctness.word_error_rate,
                    side.correctness.dropped,
                    side.correctness.coverage,
                )
                for name, side in self.sides.items()
            },
        )

    def _label(self, name: str) -> str:
        seconds = self.sides[name].audio_seconds
        return name if seconds == self.audio_seconds else f"{name}, {seconds / 60:.1f} min of it"

    def lines(self) -> list[Line]:
        rival = min(self.rivals, key=lambda name: self.sides[name].seconds.median)
        lead = LONG_LEAD if self.way != SHORT else SHORT_LEAD if self.short_windows else None
        where = f"{self.model}, {self.name}"
        best = _best([self.sides[name].correctness for name in self.rivals])
        lines = [
            Line(
                what=f"{where}: medasr / {rival}",
                value=ratio(self.sides[rival].seconds, self.sides[MEDASR.name].seconds),
                at_least=lead,
            )
        ]
        # Few errors on what was learned by heart show nothing, unlike many; the stock weights are the rival's own.
        for name in [MEDASR.name, STOCK.name] if self.learned else [MEDASR.name]:
            above = self.sides[name].correctness.word_error_rate - best.word_error_rate
            lines.append(Line(what=f"{where}: WER, {name} − faster-whisper", value=above, unit="points", at_most=0.0))
        if self.way != SHORT:
            more = self.sides[MEDASR.name].correctness.dropped - best.dropped
            lines.append(
                Line(what=f"{where}: left out, medasr − faster-whisper", value=more, unit="points", at_most=0.0)
            )
        return lines


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """The most memory that each program's process had over all sets, weights and libraries included."""

    model: str
    peak_bytes: Mapping[str, int]

    def lines(self) -> list[Line]:
        return [
            Line(
                what=f"{self.model}: peak memory of {name}",
                value=peak / 1e9,
                unit="GB",
                at_most=PEAK if name == MEDASR.name else None,
            )
            for name, peak in self.peak_bytes.items()
        ]


def _best(found: Sequence[Correctness]) -> Correctness:
    """The least of each figure that any of them has."""
    return Correctness(
        word_error_rate=min(one.word_error_rate for one in found),
        dropped=min(one.dropped for one in found),
        coverage=None,
    )
