"""A larger model's speed and memory: whisper-medium's shape with random weights, beside CTranslate2, which faster-whisper runs on.

The weights themselves come from a model hub only; what they cost does not depend on their values. Nothing can be said of errors here, and every text has
the same number of tokens. A side is a process of its own (``medium_process``); the first window is not counted.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import Line, Spread, tell
from benchmarks.options import ROOT, Options
from benchmarks.turns import ratio, take_turns
from medasr.whisper.model import choose_precision

_LAYERS, _WINDOWS, _TOKENS = 24, 8, 32
_THEIRS = "CTranslate2 int8, windows of 30 s"


@dataclass(frozen=True, kw_only=True)
class MediumFigures:
    """Seconds for all windows and peak memory of each side, round by round."""

    windows: int
    tokens: int
    seconds: dict[str, Spread]
    memory: dict[str, Spread]

    def lines(self) -> list[Line]:
        lines = [
            Line(what="windows, whisper-medium's shape", value=self.windows),
            Line(what="tokens written for each", value=self.tokens),
            *(Line(what=f"{side}: all of them", value=spread, unit="s") for side, spread in self.seconds.items()),
            *(Line(what=f"{side}: peak memory", value=spread, unit="GiB") for side, spread in self.memory.items()),
        ]
        if _THEIRS in self.seconds:
            theirs = self.seconds[_THEIRS]
            lines += [
                Line(what=f"{side}: times as fast as CTranslate2", value=ratio(theirs, spread))
                for side, spread in self.seconds.items()
                if side != _THEIRS
            ]
        return lines


def measure(options: Options) -> MediumFigures:
    precision = choose_precision("auto", torch.device("cpu"))
    order = {
        "layers": options.pick(_LAYERS, 1),
        "windows": options.pick(_WINDOWS, 2),
        "tokens": options.pick(_TOKENS, 3),
    }
    sides: dict[str, dict[str, Any]] = {
        f"medasr {precision}, windows of {seconds} s": {**order, "side": "medasr", "seconds": seconds}
        for seconds in (30, 10)
    }
    memory: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as place:
        if importlib.util.find_spec("ctranslate2") is None:
            tell("CTranslate2 is not installed and is left out; `make bench` installs it")
        else:
            folder = str(Path(place, "model"))
            _process({**order, "side": "convert", "folder": folder})
            sides[_THEIRS] = {**order, "side": "ctranslate2", "seconds": 30, "folder": folder}

        def run(side: str) -> float:
            answer = _process(sides[side])
            memory.setdefault(side, []).append(answer["peak_bytes"] / 2**30)
            return answer["seconds"]

        seconds = take_turns("medium", {side: partial(run, side) for side in sides}, options.pick(2, 1))
    return MediumFigures(
        windows=order["windows"],
        tokens=order["tokens"],
        seconds=seconds,
        memory={side: Spread(values=tuple(values)) for side, values in memory.items()},
    )


def _process(order: dict[str, Any]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.medium_process"],
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer
