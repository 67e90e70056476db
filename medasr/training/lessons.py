"""What the base model writes for speech that it is not to forget: rehearsed while something else is learned.

Knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531) on the base's own transcript: only audio is needed. The
base hears the full window, as it was trained to; the adapter learns to write the same from a shorter one. Recordings are heard alone and
several in one window: who learns from single sentences stops listening after one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from medasr.speech import LONGEST_WINDOW_SECONDS
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import decode
from medasr.whisper.features import log_mel
from medasr.whisper.forcing import read_texts
from medasr.whisper.manifest import write_durably
from medasr.whisper.packing import pack

if TYPE_CHECKING:
    from pathlib import Path

    from medasr.training.examples import Example
    from medasr.training.notation import Notation
    from medasr.types import Waveform
    from medasr.whisper.model import LoadedModel

#: So many of the likeliest tokens are remembered at each place; the others together are below a thousandth nearly everywhere.
KEPT = 8
_BATCH = 8
_PAUSE_SECONDS = 0.6


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One recording, or several with pauses, and what the base wrote for it."""

    examples: tuple[Example, ...]
    tokens: tuple[int, ...]  #: from the prefix to the end
    likely: torch.Tensor  #: int32 ``[written, KEPT]``: for each token behind the prefix, the likeliest ones
    probabilities: torch.Tensor  #: float32, of the same shape; each row sums to one

    @property
    def seconds(self) -> float:
        """How long it is, with its pauses."""
        return _seconds(self.examples)

    def waveform(self) -> Waveform:
        """Its samples, 16 kHz mono, shape ``[n]``."""
        return _waveform(self.examples)


def write_lessons(
    model: LoadedModel,
    examples: Sequence[Example],
    notation: Notation,
    progress: Callable[[int, int], None] | None = None,
) -> list[Lesson]:
    """Have the base transcribe recordings, each alone and several in a window; what it takes for cut off or silent is left out.

    Given the base as it was loaded, without adapter. Its weights are packed for inference on the way: it cannot be trained afterwards.
    """
    pack(model.network)
    lessons: list[Lesson] = []
    ordered = _windows(examples)
    for first in range(0, len(ordered), _BATCH):
        part = ordered[first : first + _BATCH]
        with torch.inference_mode():
            waveforms = [_waveform(one) for one in part]
            features = log_mel(waveforms, notation.mel_bins, model.device, WINDOW_SECONDS).to(model.compute_type)
            encoded = encode(model.network, features)
            decoded = decode(model.network, Sound(model.network, encoded), notation.tokens)
            sequences = [[*notation.tokens.prefix, *one.tokens, notation.tokens.end] for one in decoded]
            likely, probabilities = _judge(model, encoded, sequences, notation)
        for row, (group, written) in enumerate(zip(part, decoded, strict=True)):
            if not written.truncated and written.tokens:
                count = len(written.tokens) + 1
                lessons.append(
                    Lesson(
                        examples=group,
                        tokens=tuple(sequences[row]),
                        likely=likely[row, :count].clone(),
                        probabilities=probabilities[row, :count].clone(),
                    )
                )
        if progress:
            progress(min(first + _BATCH, len(ordered)), len(ordered))
    return lessons


def keep_lessons(path: Path, lessons: Sequence[Lesson]) -> None:
    """Write lessons to a file, so that a training that is started again need not ask the base again."""
    from safetensors.torch import save

    tensors = {}
    for lesson in lessons:
        name = _name(lesson.examples)
        tensors[f"{name}/tokens"] = torch.tensor(lesson.tokens)
        tensors[f"{name}/likely"] = lesson.likely
        tensors[f"{name}/probabilities"] = lesson.probabilities
    write_durably(path, save(tensors))


def read_lessons(path: Path, examples: Sequence[Example]) -> list[Lesson] | None:
    """The lessons of a file, for the examples from which they were written; None where there is no such file, or it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(path.read_bytes())
    except (FileNotFoundError, SafetensorError):
        return None
    return [
        Lesson(
            examples=group,
            tokens=tuple(tensors[f"{_name(group)}/tokens"].tolist()),
            likely=tensors[f"{_name(group)}/likely"],
            probabilities=tensors[f"{_name(group)}/probabilities"],
        )
        for group in _windows(examples)
        if f"{_name(group)}/tokens" in tensors
    ]


def _windows(examples: Sequence[Example]) -> list[tuple[Example, ...]]:
    """Each recording alone, and all of them once more, as many to a window as fit; the shortest first."""
    groups: list[tuple[Example, ...]] = []
    for example in sorted(examples, key=lambda one: hashlib.sha256(one.id.encode()).digest()):
        if groups and _seconds((*groups[-1], example)) <= LONGEST_WINDOW_SECONDS:
            groups[-1] = (*groups[-1], example)
        else:
            groups.append((example,))
    several = [group for group in groups if len(group) > 1]
    return sorted([*((one,) for one in examples), *several], key=lambda group: (_seconds(group), _name(group)))


def _name(group: Sequence[Example]) -> str:
    return "+".join(example.id for example in group)


def _seconds(group: Sequence[Example]) -> float:
    return sum(example.seconds for example in group) + _PAUSE_SECONDS * (len(group) - 1)


def _waveform(group: Sequence[Example]) -> Waveform:
    pause = np.zeros(round(_PAUSE_SECONDS * SAMPLE_RATE), dtype=np.float32)
    pieces = [piece for example in group for piece in (pause, example.waveform())]
    return np.concatenate(pieces[1:])


def _judge(
    model: LoadedModel, encoded: torch.Tensor, sequences: Sequence[Sequence[int]], notation: Notation
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens at each place behind the prefix, with the base's probabilities, when it is given its own text."""
    longest = max(map(len, sequences)) - 1
    inputs = torch.full((len(sequences), longest), notation.tokens.end, device=model.device)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
    hidden = read_texts(model.network, inputs, encoded)
    written = model.network.proj_out(hidden[:, notation.given - 1 :]).float()
    values, likely = written.softmax(dim=-1).topk(KEPT, dim=-1)
    return likely.to("cpu", torch.int32), (values / values.sum(dim=-1, keepdim=True)).cpu()
