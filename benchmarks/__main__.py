"""``python -m benchmarks``: measure all, or what is named; exit 1 when a limit is missed."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Compared, Figures, Line, show, show_grid, tell
from benchmarks.machine import machine_line
from benchmarks.options import Options

#: name → what its table is called; each name is a module with a function ``measure``.
BENCHMARKS = {
    "intake": "Many files dropped at once",
    "store": "Commands on a large store",
    "idle": "The daemon at rest",
    "lexicon": "Finding medical terms",
    "metrics": "Scores with intervals",
    "report": "The report over years",
    "service": "The service around the engine",
    "memory": "Memory over hours of audio, and over a thousand recordings",
    "breakdown": "Where the time goes",
    "evaluation": "An evaluation beside plain transcription",
    "accuracy": "What training brings on new speakers and phrases",
    "training": "Learning on short windows, and in four bits",
    "engine": "The engine beside other programs",
    "medium": "A larger model's speed and memory",
}

#: Those that take an hour or more run only when they are named.
LONG = {"accuracy"}


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    os.environ["HF_HUB_OFFLINE"] = "1"
    options = Options(
        quick=arguments.quick,
        recordings=arguments.recordings,
        count=arguments.count,
        hour=arguments.hour,
        **({"models": tuple(arguments.model)} if arguments.model else {}),
    )
    machine = machine_line()
    print(machine, end="\n\n", flush=True)
    document: dict[str, Any] = {"machine": machine, "quick": options.quick}
    missed: list[str] = []
    for name in arguments.names or [name for name in BENCHMARKS if name not in LONG]:
        tell(f"{name} ...")
        figures = importlib.import_module(f"benchmarks.{name}").measure(options)
        lines = [line for part in _parts(figures) for line in part.lines()]
        grids = [part.grid() for part in _parts(figures) if isinstance(part, Compared)]
        for grid in grids:
            show_grid(grid)
        show(f"{name}: {BENCHMARKS[name]}", lines)
        document[name] = [_as_json(line) for line in lines]
        if grids:
            document[f"{name}, all sides"] = [asdict(grid) for grid in grids]
        missed += [f"{name}: {line.what}" for line in lines if line.met is False]
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for line in missed:
        print(f"limit not met: {line}")
    if options.quick:
        print("These are figures of a quick run: they show that the benchmarks work, and little else.")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small sizes, few repetitions")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--model", action="append", metavar="PACK", help="whisper-tiny.en, whisper-base; repeatable")
    parser.add_argument("--recordings", type=Path, metavar="FOLDER", help="a folder of the medical speech dataset")
    parser.add_argument("--hour", action="store_true", help="engine: a recording of an hour as well")
    parser.add_argument("--count", type=int, metavar="N", help="how many recordings of it to use")
    return parser


def _parts(figures: Figures | Sequence[Figures]) -> Sequence[Figures]:
    """A benchmark measures one thing, or one for each model."""
    return figures if isinstance(figures, list) else [figures]  # type: ignore[list-item]


def _as_json(line: Line) -> dict[str, Any]:
    return {**asdict(line), "median": line.number, "met": line.met}


if __name__ == "__main__":
    sys.exit(main())
