"""One side of the benchmark ``training``: reads its order as JSON, learns, prints seconds and peak memory as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import cores, installed
from medasr.audio import normalize, read_normalized
from medasr.training.batches import Material, draw_epoch, make_batch
from medasr.training.examples import Example
from medasr.training.loop import learn, make_trainee
from medasr.training.notation import notation_of
from medasr.training.recipe import NOTEBOOK, TrainingRecipe
from medasr.types import SAMPLE_RATE, SpeechSpan
from medasr.whisper.model import ModelOptions, load_model

#: The same recordings on all sides: nothing is joined or added, nothing longer than it has to be.
RECIPES = {
    "medasr": TrainingRecipe(
        join_share=0.0, empty_share=0.0, longer_share=0.0, practice_share=0.0, rehearsal_share=0.0
    ),
    "notebook": NOTEBOOK,
}


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    with tempfile.TemporaryDirectory() as folder:
        answer = _learn(json.loads(sys.stdin.read()), Path(folder))
    out.write(json.dumps(answer))
    out.close()


def _learn(order: dict[str, Any], folder: Path) -> dict[str, float]:
    base = installed(order["model"])
    model = load_model(
        ModelOptions(
            path=base.path,
            base_id=base.name,
            base_revision=base.revision,
            base_sha256=base.weights_sha256,
            precision=order["precision"],
            device="cpu",
            threads=cores(),
        )
    )
    recipe = replace(RECIPES[order["recipe"]], shortest_context=order["shortest_context"])
    examples = [_example(Path(file), folder / str(number)) for number, file in enumerate(order["files"])]
    batches = draw_epoch(Material(examples=examples), recipe, 0)
    notation = notation_of(model, "en")
    trainee = make_trainee(model, recipe, steps=len(batches) + 1)
    learn(trainee, make_batch(batches[0], recipe, notation, np.random.default_rng(0)), recipe)
    began = time.perf_counter()
    for place, drafts in enumerate(batches):
        learn(trainee, make_batch(drafts, recipe, notation, np.random.default_rng(place)), recipe)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _example(recording: Path, samples: Path) -> Example:
    sink = os.open(samples, os.O_RDWR | os.O_CREAT, 0o600)
    with recording.open("rb") as source:
        normalize(source.fileno(), sink)
    os.close(sink)
    seconds = len(read_normalized(samples)) / SAMPLE_RATE
    window = SpeechSpan(start=0.0, end=min(seconds, 26.0))
    return Example(id=recording.stem, samples=samples, window=window, text="The same words for every recording here.")


if __name__ == "__main__":
    main()
