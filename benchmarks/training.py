"""What a training epoch costs: windows as long as the speech beside windows of 30 s, the notebook's recipe, and NF4 beside bf16 (or fp32, where a processor has no bf16).

The notebook's recipe takes windows of 30 s, and its encoder learns from every batch. Each side is a process of its own that loads the base, puts an adapter on it and learns the same batches of the same recordings; the
first batch is not counted. Memory is the peak of the whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from benchmarks.figures import Line, Spread, tell
from benchmarks.options import ROOT, Options, installed
from benchmarks.speech import recordings
from benchmarks.turns import ratio
from medasr.training.recipe import TrainingRecipe
from medasr.types import WINDOW_SECONDS
from medasr.whisper.model import choose_precision

#: So many times faster than the notebook's an epoch is to be.
SPEEDUP = 5.0
_SHORT = TrainingRecipe().shortest_context


@dataclass(frozen=True, kw_only=True)
class Side:
    """How one process trains."""

    recipe: Literal["medasr", "notebook"] = "medasr"
    precision: str
    shortest_context: float

    def __str__(self) -> str:
        return f"{self.recipe}, {self.precision}, windows from {self.shortest_context:g} s"


@dataclass(frozen=True, kw_only=True)
class TrainingFigures:
    """Seconds of an epoch and peak memory of each side, round by round."""

    model: str
    recordings: int
    seconds: dict[Side, Spread]
    memory: dict[Side, Spread]

    def lines(self) -> list[Line]:
        short, full, notebook, four_bit = self.seconds
        lines = [Line(what=f"recordings an epoch, {self.model}", value=self.recordings)]
        lines += [Line(what=f"epoch, {side}", value=spread, unit="s") for side, spread in self.seconds.items()]
        lines += [Line(what=f"peak memory, {side}", value=spread, unit="GiB") for side, spread in self.memory.items()]
        return [
            *lines,
            Line(
                what="times faster than the notebook's recipe",
                value=ratio(self.seconds[notebook], self.seconds[short]),
                at_least=SPEEDUP,
            ),
            Line(what="times faster with short windows alone", value=ratio(self.seconds[full], self.seconds[short])),
            Line(what="NF4, times as long", value=ratio(self.seconds[four_bit], self.seconds[short])),
            Line(what="NF4, times the memory", value=ratio(self.memory[four_bit], self.memory[short])),
        ]


def measure(options: Options) -> list[TrainingFigures]:
    spoken = recordings(options, 64, 6)
    return [_compare(model, [str(one.path) for one in spoken], options.pick(2, 1)) for model in options.models]


def _compare(model: str, files: Sequence[str], rounds: int) -> TrainingFigures:
    installed(model)
    usual = choose_precision("auto", torch.device("cpu"))
    sides = [
        Side(precision=usual, shortest_context=_SHORT),
        Side(precision=usual, shortest_context=WINDOW_SECONDS),
        Side(recipe="notebook", precision=usual, shortest_context=WINDOW_SECONDS),
        Side(precision="nf4", shortest_context=_SHORT),
    ]
    seconds: dict[Side, list[float]] = {side: [] for side in sides}
    memory: dict[Side, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides[number % 2 :] + sides[: number % 2]:
            tell(f"training, {model}: round {number + 1} of {rounds}, {side}")
            order = {
                "model": model,
                "files": list(files),
                "recipe": side.recipe,
                "precision": side.precision,
                "shortest_context": side.shortest_context,
            }
            answer = subprocess.run(
                [sys.executable, "-m", "benchmarks.training_process"],
                input=json.dumps(order).encode(),
                stdout=subprocess.PIPE,
                cwd=ROOT,
                check=True,
            )
            taken = json.loads(answer.stdout)
            seconds[side].append(taken["seconds"])
            memory[side].append(taken["peak_bytes"] / 2**30)
    return TrainingFigures(
        model=model,
        recordings=len(files),
        seconds={side: Spread(values=tuple(values)) for side, values in seconds.items()},
        memory={side: Spread(values=tuple(values)) for side, values in memory.items()},
    )
