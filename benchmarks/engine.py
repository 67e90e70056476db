"""Speed and correctness of the engine beside other programs, on the same weights, samples and threads.

Each program is a process of its own and gets recordings as decoded samples; loading is on nobody's clock. medasr is measured as it
serves, with the adapter that comes with it, and, where that has learned from the recordings, with the stock weights that the others
have. faster-whisper goes about short recordings in the way that was fastest on some of them just before. What has no limit runs once, and
the slow programs, faster-whisper in float32 among them, on a third of the recordings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.correctness import judge
from benchmarks.engine_figures import MemoryFigures, SetFigures, SideFigures
from benchmarks.figures import Figures, tell
from benchmarks.homes import temporary_home
from benchmarks.options import Options, installed
from benchmarks.programs import faster_whisper
from benchmarks.programs.running import FLOAT32, INT8, MEDASR, OTHERS, STOCK, Program, Running, Taken
from benchmarks.programs.written import LONG, SHORT
from benchmarks.recording_sets import RecordingSet, recording_sets
from benchmarks.turns import take_turns
from daemon.registry.serving import resolve
from medasr.types import WINDOW_SECONDS
from medasr.whisper.adapter import read_shortest_context

#: How many short recordings decide which way faster-whisper goes about the others.
_TRIED = 8


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A program, what it transcribes, and how."""

    name: str
    program: Program
    recorded: RecordingSet
    way: str


def measure(options: Options) -> list[Figures]:
    if not INT8.here:
        tell("faster-whisper is not installed, so nothing is compared; `make bench` installs it")
        return []
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as folder:
        sets = recording_sets(options, Path(folder))
        return [figures for model in options.models for figures in _compare(model, sets)]


def _compare(model: str, sets: Sequence[RecordingSet]) -> list[Figures]:
    adapter = _adapter(model)
    stock = [STOCK] if any(one.learned(adapter) for one in sets) else []
    programs = [MEDASR, *stock, INT8, FLOAT32, *OTHERS]
    with ExitStack() as stack:
        running: dict[Program, Running] = {}
        for program in programs:
            if program.here:
                running[program] = stack.enter_context(Running(program, model))
            else:
                tell(f"{program.name} is not installed and is left out; `make bench` installs it")
        first = sets[0].recordings[0].pcm
        for program, process in running.items():
            tell(f"engine, {model}: {program.name} loads")
            process.transcribe([first], SHORT)
        fastest = _fastest(running[INT8], [one.pcm for one in sets[0].recordings[:_TRIED]])
        peaks: dict[str, int] = {}
        figures: list[Figures] = [_measure_set(model, one, running, fastest, adapter, peaks) for one in sets]
    return [*figures, MemoryFigures(model=model, peak_bytes=peaks)]


def _adapter(model: str) -> str:
    """The folder of the adapter that serves on a new home; empty where none does."""
    installed(model)
    with temporary_home(model={"base": model}) as config:
        return resolve(config).adapter


def _fastest(process: Running, recordings: Sequence[Path]) -> str:
    """faster-whisper's fastest way on short recordings."""
    seconds = {way: process.transcribe(recordings, way).seconds for way in faster_whisper.SHORT_WAYS}
    tell("faster-whisper: " + ", ".join(f"{way} {taken:.2f} s" for way, taken in seconds.items()))
    return min(seconds, key=lambda way: seconds[way])


def _measure_set(
    model: str,
    recorded: RecordingSet,
    running: Mapping[Program, Running],
    fastest: str,
    adapter: str,
    peaks: dict[str, int],
) -> SetFigures:
    learned = recorded.learned(adapter)
    sides = {side.name: side for side in _sides(recorded, fastest, learned=learned) if side.program in running}
    taken: dict[str, Taken] = {}

    def turn(side: _Side) -> Callable[[], float]:
        def run() -> float:
            files = [one.pcm for one in side.recorded.recordings]
            taken[side.name] = running[side.program].transcribe(files, side.way)
            peaks[side.program.name] = taken[side.name].peak_bytes
            return taken[side.name].seconds

        return run

    seconds = take_turns(
        f"engine, {model}, {recorded.name}",
        {name: turn(side) for name, side in sides.items()},
        recorded.rounds,
        once=[name for name, side in sides.items() if side.program not in (MEDASR, INT8)],
    )
    return SetFigures(
        model=model,
        name=recorded.name,
        way=recorded.way,
        recordings=len(recorded.recordings),
        audio_seconds=recorded.seconds,
        sides={
            name: SideFigures(
                seconds=seconds[name],
                audio_seconds=side.recorded.seconds,
                correctness=judge(side.recorded.references, taken[name].written, side.recorded.speech),
            )
            for name, side in sides.items()
        },
        rivals=tuple(name for name, side in sides.items() if side.program is INT8),
        short_windows=bool(adapter) and read_shortest_context(Path(adapter)) < WINDOW_SECONDS,
        learned=learned,
    )


def _sides(recorded: RecordingSet, fastest: str, *, learned: bool) -> list[_Side]:
    """Who transcribes a set, and how."""
    ours = [_Side(name=MEDASR.name, program=MEDASR, recorded=recorded, way=recorded.way)]
    if learned:
        ours.append(_Side(name=STOCK.name, program=STOCK, recorded=recorded, way=recorded.way))
    ways = faster_whisper.LONG_WAYS if recorded.way == LONG else (fastest,)
    rivals = [_Side(name=f"{INT8.name}, {way}", program=INT8, recorded=recorded, way=way) for way in ways]
    part = recorded.part
    if part is None:
        return [*ours, *rivals]
    slow = [_Side(name=program.name, program=program, recorded=part, way=recorded.way) for program in OTHERS]
    if recorded.way == SHORT:
        slow.insert(0, _Side(name=f"{FLOAT32.name}, {fastest}", program=FLOAT32, recorded=part, way=fastest))
    return [*ours, *rivals, *slow]
