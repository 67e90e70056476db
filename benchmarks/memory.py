"""What the running service holds of the machine's memory while much waits: one recording of four hours, and a thousand short ones.

The real daemon on a home of its own, its model in bf16. Memory is read several times a second, from the drop into the inbox until the last
transcript is delivered, as the proportional set size of all its processes; what grows with the recording, or with what waits, shows as a
last quarter of that time above the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.dropped import write_long, write_many
from benchmarks.figures import Line, tell
from benchmarks.homes import delivered, running_daemon, serving_home, wait_until
from benchmarks.options import Options, installed
from benchmarks.processes import Reading, resident_peak, tree, watched
from benchmarks.speech import recordings

#: The last quarter may exceed the first by what a heap that warms up does, not by anything that grows for hours.
FLAT = 1.1
PEAK_MIB = 1.5e9 / 2**20
#: On a machine that does other things besides, hours of audio take their time.
PATIENCE = 3 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one load made of the memory."""

    what: str
    files: int
    audio_seconds: float
    began: float  #: the drop; seconds of the readings' clock
    ended: float  #: the last delivery
    readings: tuple[Reading, ...]
    resident_peak: int  #: of the largest process, since it was started; bytes

    def lines(self) -> list[Line]:
        first, last = self.quarter(0), self.quarter(3)
        return [
            Line(what=f"{self.what}: files", value=self.files),
            Line(what="audio", value=self.audio_seconds / 60, unit="min"),
            Line(what="times real time", value=self.audio_seconds / (self.ended - self.began)),
            Line(what="most in the first quarter (PSS)", value=first / 2**20, unit="MiB"),
            Line(what="most in the last quarter (PSS)", value=last / 2**20, unit="MiB"),
            Line(what="last quarter / first", value=last / first, at_most=FLAT),
            Line(what="most at any time (PSS)", value=self.peak / 2**20, unit="MiB", at_most=PEAK_MIB),
            Line(what="most of one process, loading included (RSS)", value=self.resident_peak / 2**20, unit="MiB"),
        ]

    @property
    def peak(self) -> int:
        """Most bytes at any time."""
        return max(reading.proportional_bytes for reading in self.readings)

    def quarter(self, number: int) -> int:
        """Most bytes in a quarter of the time; the first is 0."""
        length = (self.ended - self.began) / 4
        begin = self.began + number * length
        return max(reading.proportional_bytes for reading in self.readings if begin <= reading.at <= begin + length)


@dataclass(frozen=True, kw_only=True)
class MemoryFigures:
    """Both loads."""

    long: Load
    many: Load

    def lines(self) -> list[Line]:
        return [*self.long.lines(), *self.many.lines()]


def measure(options: Options) -> MemoryFigures:
    model = options.models[-1]  # the largest of those that are measured; the limit is that of whisper-base
    installed(model)
    spoken = recordings(options, 223, 6)
    minutes, count = options.pick(240, 4), options.pick(1000, 20)
    return MemoryFigures(
        long=_load(
            model,
            f"{minutes} minutes in one recording, {model}",
            lambda folder: write_long(folder, spoken, 60.0 * minutes),
        ),
        many=_load(model, f"{count:,} recordings at once, {model}", lambda folder: write_many(folder, spoken, count)),
    )


def _load(model: str, what: str, write: Callable[[Path], float]) -> Load:
    """Drop what ``write`` puts into a folder, of which it returns the seconds, and watch until all of it is delivered."""
    tell(f"memory: {what}")
    with serving_home(model, precision="bf16") as config:
        staged = config.paths.state.parent / "staged"
        staged.mkdir()
        audio_seconds = write(staged)
        files = sorted(staged.iterdir())
        with running_daemon(config) as process:
            daemon = psutil.Process(process.pid)
            log = config.paths.state.parent / "daemon.log"
            with watched(daemon) as readings:
                began = time.monotonic()
                for path in files:
                    path.rename(config.paths.inbox / path.name)
                wait_until(lambda: delivered(config)[0] == len(files), process, log, interval=1.0, patience=PATIENCE)
                ended = time.monotonic()
            peak = resident_peak(tree(daemon))
    return Load(
        what=what,
        files=len(files),
        audio_seconds=audio_seconds,
        began=began,
        ended=ended,
        readings=tuple(readings),
        resident_peak=peak,
    )
