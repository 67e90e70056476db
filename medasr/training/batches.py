"""From examples to batches of one window length each: joined, varied, noted as tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medasr.speech import LONGEST_WINDOW_SECONDS
from medasr.training.augmentation import coloured_noise, mask, vary
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS
from medasr.whisper.context import STEP_SECONDS, context_seconds
from medasr.whisper.decoding import TIMESTAMP_SECONDS, DecodingTokens
from medasr.whisper.features import log_mel

if TYPE_CHECKING:
    from medasr.training.examples import Example
    from medasr.training.recipe import TrainingRecipe
    from medasr.types import Waveform

#: Positions that do not count in the loss.
IGNORED = -100
_PAUSE_SECONDS = (0.2, 1.5)
_EMPTY_SECONDS = (1.0, 8.0)
_EMPTY_AMPLITUDE_DB = (-60.0, -25.0)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a window with its text; times count from the window's start."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """What goes into one row of a batch: speech with its segments, or noise without any."""

    waveform: Waveform
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """Length of the waveform."""
        return len(self.waveform) / SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Tensors of one step."""

    features: torch.Tensor  #: ``[batch, mel, frames]``
    inputs: torch.Tensor  #: tokens that the decoder is given, ``[batch, length]``
    targets: torch.Tensor  #: tokens that it is to write, ``[batch, length]``; IGNORED where nothing counts
    seconds: float  #: of audio


@dataclass(frozen=True, kw_only=True)
class Notation:
    """How texts become tokens of one model."""

    tokenizer: Any  #: transformers.WhisperTokenizer
    tokens: DecodingTokens
    mel_bins: int
    limit: int  #: tokens at most

    def sequence(self, segments: Sequence[Segment]) -> list[int]:
        """Prefix, each segment between its times, end."""
        sequence = list(self.tokens.prefix)
        for segment in segments:
            text = self.tokenizer.encode(" " + segment.text.strip(), add_special_tokens=False)
            sequence += [self._time(segment.start), *text, self._time(segment.end)]
        if not segments:
            sequence.append(self._time(0.0))
        return [*sequence, self.tokens.end][: self.limit + 1]

    def _time(self, seconds: float) -> int:
        return self.tokens.timestamp_begin + round(min(seconds, WINDOW_SECONDS) / TIMESTAMP_SECONDS)


def epoch_items(examples: Sequence[Example], recipe: TrainingRecipe, chance: np.random.Generator) -> Iterator[Item]:
    """All examples once, in a new order, some of them joined into one window, with some noise between them."""
    order = [examples[place] for place in chance.permutation(len(examples))]
    while order:
        group = [order.pop()]
        if chance.random() < recipe.join_share:
            room = LONGEST_WINDOW_SECONDS - 1.2 * group[0].seconds
            while order and len(group) < 4 and (room := room - 1.2 * order[-1].seconds - _PAUSE_SECONDS[1]) > 0:
                group.append(order.pop())
        yield _join(group, recipe, chance)
        if chance.random() < recipe.empty_share:
            length = round(chance.uniform(*_EMPTY_SECONDS) * SAMPLE_RATE)
            level = 10 ** (chance.uniform(*_EMPTY_AMPLITUDE_DB) / 20)
            yield Item(waveform=(coloured_noise(length, chance) * level).astype(np.float32), segments=())


def epoch_batches(
    examples: Sequence[Example], recipe: TrainingRecipe, notation: Notation, chance: np.random.Generator
) -> Iterator[Batch]:
    """The batches of one epoch, in random order; rows of a batch are about equally long."""
    items = sorted(epoch_items(examples, recipe, chance), key=lambda item: item.seconds)
    groups = [items[first : first + recipe.batch_size] for first in range(0, len(items), recipe.batch_size)]
    for place in chance.permutation(len(groups)):
        yield make_batch(groups[place], recipe, notation, chance)


def make_batch(items: Sequence[Item], recipe: TrainingRecipe, notation: Notation, chance: np.random.Generator) -> Batch:
    """Put items into one batch, in a window that its longest needs or a random longer one."""
    seconds = context_seconds(max(item.seconds for item in items), recipe.shortest_context)
    if chance.random() < recipe.longer_share:
        seconds = float(chance.choice(np.arange(seconds, WINDOW_SECONDS + 0.1, STEP_SECONDS)))
    features = log_mel([item.waveform for item in items], notation.mel_bins, torch.device("cpu"), seconds)
    mask(features, [item.seconds for item in items], recipe, chance)
    sequences = [notation.sequence(item.segments) for item in items]
    longest = max(map(len, sequences)) - 1
    inputs = torch.full((len(items), longest), notation.tokens.end)
    targets = torch.full((len(items), longest), IGNORED)
    given = len(notation.tokens.prefix) - 1
    for row, sequence in enumerate(sequences):
        inputs[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
        targets[row, given : len(sequence) - 1] = torch.tensor(sequence[given + 1 :])
    return Batch(features=features, inputs=inputs, targets=targets, seconds=sum(item.seconds for item in items))


def _join(group: Sequence[Example], recipe: TrainingRecipe, chance: np.random.Generator) -> Item:
    pieces: list[Waveform] = []
    segments: list[Segment] = []
    position = 0
    for example in group:
        if pieces:
            pause = np.zeros(round(chance.uniform(*_PAUSE_SECONDS) * SAMPLE_RATE), dtype=np.float32)
            pieces.append(pause)
            position += len(pause)
        waveform = vary(example.waveform(), recipe, chance)
        pieces.append(waveform)
        segments.append(
            Segment(start=position / SAMPLE_RATE, end=(position + len(waveform)) / SAMPLE_RATE, text=example.text)
        )
        position += len(waveform)
    return Item(waveform=np.concatenate(pieces), segments=tuple(segments))
