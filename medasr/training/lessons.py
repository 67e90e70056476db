"""What the base model writes for speech that it is not to forget: rehearsed while something else is learned.

Knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531) on the base's own transcript: only audio is needed. The
base hears the full window, as it was trained to; the adapter learns to write the same from a shorter one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from medasr.types import WINDOW_SECONDS
from medasr.whisper.context import encode
from medasr.whisper.decoding import decode
from medasr.whisper.features import log_mel
from medasr.whisper.manifest import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from medasr.training.examples import Example
    from medasr.training.notation import Notation
    from medasr.whisper.model import LoadedModel

#: So many of the likeliest tokens are remembered at each place; the others together are below a thousandth nearly everywhere.
KEPT = 8
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A recording, and what the base wrote for it."""

    example: Example
    tokens: tuple[int, ...]  #: from the prefix to the end
    likely: torch.Tensor  #: int32 ``[written, KEPT]``: for each token behind the prefix, the likeliest ones
    probabilities: torch.Tensor  #: float32, of the same shape; each row sums to one


def write_lessons(
    model: LoadedModel,
    examples: Sequence[Example],
    notation: Notation,
    progress: Callable[[int, int], None] | None = None,
) -> list[Lesson]:
    """Have the base transcribe recordings; what it takes for cut off or silent is left out.

    Given the base as it was loaded, without adapter.
    """
    lessons: list[Lesson] = []
    ordered = sorted(examples, key=lambda one: (one.seconds, one.id))
    for first in range(0, len(ordered), _BATCH):
        part = ordered[first : first + _BATCH]
        with torch.inference_mode():
            waveforms = [one.waveform() for one in part]
            features = log_mel(waveforms, notation.mel_bins, model.device, WINDOW_SECONDS).to(model.compute_type)
            decoded = decode(model.network, features, notation.tokens)
            sequences = [[*notation.tokens.prefix, *one.tokens, notation.tokens.end] for one in decoded]
            likely, probabilities = _judge(model, features, sequences, notation)
        for row, (example, written) in enumerate(zip(part, decoded, strict=True)):
            if not written.truncated and written.tokens:
                count = len(written.tokens) + 1
                lessons.append(
                    Lesson(
                        example=example,
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
        tensors[f"{lesson.example.id}/tokens"] = torch.tensor(lesson.tokens)
        tensors[f"{lesson.example.id}/likely"] = lesson.likely
        tensors[f"{lesson.example.id}/probabilities"] = lesson.probabilities
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
            example=example,
            tokens=tuple(tensors[f"{example.id}/tokens"].tolist()),
            likely=tensors[f"{example.id}/likely"],
            probabilities=tensors[f"{example.id}/probabilities"],
        )
        for example in sorted(examples, key=lambda one: (one.seconds, one.id))
        if f"{example.id}/tokens" in tensors
    ]


def _judge(
    model: LoadedModel, features: torch.Tensor, sequences: Sequence[Sequence[int]], notation: Notation
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens at each place behind the prefix, with the base's probabilities, when it is given its own text."""
    longest = max(map(len, sequences)) - 1
    inputs = torch.full((len(sequences), longest), notation.tokens.end, device=model.device)
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
    hidden = model.network.model.decoder(
        input_ids=inputs, encoder_hidden_states=encode(model.network, features), use_cache=False
    ).last_hidden_state
    written = model.network.proj_out(hidden[:, notation.given - 1 :]).float()
    values, likely = written.softmax(dim=-1).topk(KEPT, dim=-1)
    return likely.to("cpu", torch.int32), (values / values.sum(dim=-1, keepdim=True)).cpu()
