"""Whether this machine can do it all: load the weights, take a training step, transcribe; and what each takes."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from medasr.training.batches import Draft, make_batch
from medasr.training.loop import learn, make_trainee
from medasr.training.notation import notation_of
from medasr.training.recipe import TrainingRecipe
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS
from medasr.whisper.model import load_model
from medasr.whisper.transcriber import WhisperTranscriber

if TYPE_CHECKING:
    from collections.abc import Callable

    from medasr.whisper.model import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What was measured; memory is the most that was taken up to the end of each part."""

    device: str
    precision: str
    load_seconds: float
    load_bytes: int
    step_seconds: float  #: one training step, after one that was not counted
    step_bytes: int
    rows: int  #: of the step's batch
    transcription_seconds: float  #: of a batch of full windows, after one that was not counted
    transcription_bytes: int
    rtfx: float  #: seconds of audio in a second


def prove(options: ModelOptions, recipe: TrainingRecipe, *, batch_size: int, language: str = "en") -> Proof:
    """Load, learn and transcribe with made sounds.

    Given what to load, how to train, and how many windows are transcribed together, return what each took. Raise ModelError when the
    weights or the device are not there, TrainingError or MemoryError when memory does not suffice.
    """
    load_seconds, load_bytes, step_seconds, step_bytes = _learn(options, recipe, language)
    # Weights that were trained beside may have been kept in another form than those that serve.
    served = load_model(options)
    transcriber = WhisperTranscriber(served, language, options.beams)
    chance = np.random.default_rng(1)
    windows = [
        (0.01 * chance.standard_normal(round(WINDOW_SECONDS * SAMPLE_RATE))).astype(np.float32)
        for _ in range(batch_size)
    ]
    transcriber.transcribe(windows)
    seconds = _timed(lambda: transcriber.transcribe(windows), served.device)
    return Proof(
        device=transcriber.device,
        precision=served.version.precision,
        load_seconds=load_seconds,
        load_bytes=load_bytes,
        step_seconds=step_seconds,
        step_bytes=step_bytes,
        rows=recipe.batch_size,
        transcription_seconds=seconds,
        transcription_bytes=_peak(served.device),
        rtfx=batch_size * WINDOW_SECONDS / seconds,
    )


def _learn(options: ModelOptions, recipe: TrainingRecipe, language: str) -> tuple[float, int, float, int]:
    """Seconds and memory of loading the base, and of a training step; nothing of it stays in memory."""
    began = time.perf_counter()
    model = load_model(replace(options, precision=recipe.precision, adapter=None))
    load_seconds, load_bytes = time.perf_counter() - began, _peak(model.device)
    drafts = [Draft(seconds=recipe.shortest_context - 2.0) for _ in range(recipe.batch_size)]
    batch = make_batch(drafts, recipe, notation_of(model, language), np.random.default_rng(0))
    trainee = make_trainee(model, recipe, steps=2)
    learn(trainee, batch, recipe)
    step_seconds = _timed(lambda: learn(trainee, batch, recipe), model.device)
    return load_seconds, load_bytes, step_seconds, _peak(model.device)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _peak(device: torch.device) -> int:
    """Bytes taken at most so far: of the card, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
