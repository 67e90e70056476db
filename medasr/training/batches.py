"""From examples to batches of one window length each: drawn, joined, varied, noted as tokens.

An epoch is drawn first, from lengths alone; the audio of a batch is read when its turn comes. Every batch has chance of its own,
so a training that was interrupted goes on in the middle of an epoch as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from medasr.speech import LONGEST_WINDOW_SECONDS
from medasr.training.augmentation import coloured_noise, mask, vary
from medasr.training.lessons import KEPT
from medasr.training.notation import Segment, TokenSequence
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS
from medasr.whisper.context import STEP_SECONDS, context_seconds
from medasr.whisper.features import log_mel

if TYPE_CHECKING:
    from medasr.training.examples import Example
    from medasr.training.lessons import Lesson
    from medasr.training.notation import Notation
    from medasr.training.recipe import TrainingRecipe
    from medasr.types import Waveform

_Item = TypeVar("_Item")

#: Positions that do not count in the loss.
IGNORED = -100
_PAUSE_SECONDS = (0.2, 1.5)
_EMPTY_SECONDS = (1.0, 8.0)
_EMPTY_AMPLITUDE_DB = (-60.0, -25.0)
_JOINED = (2, 8)  #: examples in a window


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that is learned from."""

    examples: Sequence[Example]  #: of the dataset, all of them each epoch
    practice: Sequence[Example] = ()  #: invented sentences with medical terms, some of them each epoch
    everyday: Sequence[Example] = ()  #: and without
    lessons: Sequence[Lesson] = ()  #: speech to be rehearsed, some of it each epoch


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What one row of a batch will be: examples to be joined, or a lesson, or, with neither, noise."""

    examples: tuple[Example, ...] = ()
    lesson: Lesson | None = None
    seconds: float  #: about how long it will be
    artificial: bool = False  #: spoken by a machine


@dataclass(frozen=True, kw_only=True)
class Row:
    """What goes into one row of a batch: speech and the tokens to be written for it."""

    waveform: Waveform
    sequence: TokenSequence
    lesson: Lesson | None = None

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
    weights: torch.Tensor  #: of each target in the loss, ``[batch, length]``
    likely: torch.Tensor  #: what the base found likely, int64 ``[batch, length, KEPT]``
    probabilities: torch.Tensor  #: and how likely, of the same shape; all zero where it was not asked
    seconds: float  #: of audio
    acoustic: bool = True  #: whether the encoder learns from it; how machines speak is nothing to be learned

    def parts(self, count: int) -> Iterator[Batch]:
        """The batch in so many pieces, as far as it has rows."""
        pieces = [torch.chunk(tensor, count) for tensor in self._tensors()]
        for features, inputs, targets, weights, likely, probabilities in zip(*pieces, strict=True):
            yield Batch(
                features=features,
                inputs=inputs,
                targets=targets,
                weights=weights,
                likely=likely,
                probabilities=probabilities,
                seconds=self.seconds * len(features) / len(self.features),
                acoustic=self.acoustic,
            )

    def _tensors(self) -> tuple[torch.Tensor, ...]:
        return self.features, self.inputs, self.targets, self.weights, self.likely, self.probabilities


def draw_epoch(material: Material, recipe: TrainingRecipe, epoch: int) -> list[list[Draft]]:
    """The batches of an epoch, as drafts, in the order of their turns; rows of a batch are about equally long.

    The same recipe and epoch (0, 1 ...) give the same batches.
    """
    chance = np.random.default_rng([recipe.seed, epoch])
    count = len(material.examples)
    practice = _practice(material, _beside(recipe.practice_share, count, recipe), recipe.everyday_share, chance)
    lessons = _some(material.lessons, _beside(recipe.rehearsal_share, count, recipe), chance)
    drafts = _join([material.examples[place] for place in chance.permutation(count)], recipe, chance)
    drafts += [Draft(lesson=lesson, seconds=lesson.seconds) for lesson in lessons]
    empty = chance.binomial(len(drafts), recipe.empty_share)
    drafts += [Draft(seconds=float(chance.uniform(*_EMPTY_SECONDS))) for _ in range(empty)]
    spoken = [Draft(examples=(one,), seconds=one.seconds, artificial=True) for one in practice]
    batches = [*_cut(drafts, recipe), *_cut(spoken, recipe)]
    return [batches[place] for place in chance.permutation(len(batches))]


def make_batch(
    drafts: Sequence[Draft], recipe: TrainingRecipe, notation: Notation, chance: np.random.Generator
) -> Batch:
    """Read the audio of drafts and put it into one batch, in a window that its longest needs or a random longer one."""
    rows = [_row(draft, recipe, notation, chance) for draft in drafts]
    seconds = context_seconds(max(row.seconds for row in rows), recipe.shortest_context)
    if chance.random() < recipe.longer_share:
        seconds = float(chance.choice(np.arange(seconds, WINDOW_SECONDS + 0.1, STEP_SECONDS)))
    features = log_mel([row.waveform for row in rows], notation.mel_bins, torch.device("cpu"), seconds)
    mask(features, [row.seconds for row in rows], recipe, chance)
    length = max(len(row.sequence.tokens) for row in rows) - 1
    inputs = torch.full((len(rows), length), notation.tokens.end)
    targets = torch.full((len(rows), length), IGNORED)
    weights = torch.zeros(len(rows), length)
    likely = torch.zeros(len(rows), length, KEPT, dtype=torch.int64)
    probabilities = torch.zeros(len(rows), length, KEPT)
    first = notation.given - 1
    for place, row in enumerate(rows):
        tokens, last = row.sequence.tokens, len(row.sequence.tokens) - 1
        inputs[place, :last] = torch.tensor(tokens[:-1])
        targets[place, first:last] = torch.tensor(tokens[first + 1 :])
        weights[place, first:last] = torch.tensor(row.sequence.weights[first + 1 :])
        if row.lesson:
            likely[place, first:last] = row.lesson.likely.long()
            probabilities[place, first:last] = row.lesson.probabilities
    return Batch(
        features=features,
        inputs=inputs,
        targets=targets,
        weights=weights,
        likely=likely,
        probabilities=probabilities,
        seconds=sum(row.seconds for row in rows),
        acoustic=not drafts[0].artificial and chance.random() < recipe.acoustic_share,
    )


def _practice(material: Material, count: int, everyday_share: float, chance: np.random.Generator) -> list[Example]:
    """So many invented sentences, a share of them without a medical term: who hears only complaints writes a term for any sound."""
    if material.practice and material.everyday:
        plain = round(everyday_share * count)
    else:
        plain = count if material.everyday else 0
    return _some(material.practice, count - plain, chance) + _some(material.everyday, plain, chance)


def _beside(share: float, count: int, recipe: TrainingRecipe) -> int:
    """How much is learned beside so many examples, when its share is not zero."""
    return max(round(share * count), recipe.beside_least) if share else 0


def _some(items: Sequence[_Item], count: int, chance: np.random.Generator) -> list[_Item]:
    """So many of the items at random, none twice before all were taken once."""
    taken: list[_Item] = []
    while items and len(taken) < count:
        order = chance.permutation(len(items))
        taken += [items[place] for place in order[: count - len(taken)]]
    return taken


def _cut(drafts: Sequence[Draft], recipe: TrainingRecipe) -> list[list[Draft]]:
    """Drafts in batches, those of like length together: ``batch_size`` of the shortest windows, fewer of longer ones, so that all cost the same."""
    budget = recipe.batch_size * recipe.shortest_context
    slowest = 1 / min(recipe.speeds)
    batches: list[list[Draft]] = []
    for draft in sorted(drafts, key=lambda draft: draft.seconds):
        window = context_seconds(slowest * draft.seconds, recipe.shortest_context)
        if not batches or (len(batches[-1]) + 1) * window > budget:
            batches.append([])
        batches[-1].append(draft)
    return batches


def _join(order: list[Example], recipe: TrainingRecipe, chance: np.random.Generator) -> list[Draft]:
    """All examples once; some of them joined into one window, as far as there is room at the slowest speed."""
    slowest = 1 / min(recipe.speeds)
    mean = (_JOINED[0] + _JOINED[1]) / 2
    # So many windows begin with one that is joined, that in the mean join_share of all examples are.
    beginning = recipe.join_share / (mean * (1 - recipe.join_share) + recipe.join_share)
    drafts = []
    while order:
        group = [order.pop()]
        if chance.random() < beginning:
            room = LONGEST_WINDOW_SECONDS - slowest * group[0].seconds
            count = int(chance.integers(_JOINED[0], _JOINED[1] + 1))
            while order and len(group) < count:
                room -= slowest * order[-1].seconds + _PAUSE_SECONDS[1]
                if room <= 0:
                    break
                group.append(order.pop())
        seconds = sum(one.seconds for one in group) + (len(group) - 1) * float(np.mean(_PAUSE_SECONDS))
        drafts.append(Draft(examples=tuple(group), seconds=seconds))
    return drafts


def _row(draft: Draft, recipe: TrainingRecipe, notation: Notation, chance: np.random.Generator) -> Row:
    if draft.lesson:
        tokens = list(draft.lesson.tokens)
        sequence = TokenSequence(tokens=tokens, weights=[1.0] * len(tokens))
        return Row(waveform=draft.lesson.waveform(), sequence=sequence, lesson=draft.lesson)
    if not draft.examples:
        length = round(draft.seconds * SAMPLE_RATE)
        level = 10 ** (chance.uniform(*_EMPTY_AMPLITUDE_DB) / 20)
        noise = (coloured_noise(length, chance) * level).astype(np.float32)
        return Row(waveform=noise, sequence=notation.sequence(()))
    waveform, segments = _joined(draft.examples, recipe, chance)
    return Row(waveform=waveform, sequence=notation.sequence(segments))


def _joined(
    group: Sequence[Example], recipe: TrainingRecipe, chance: np.random.Generator
) -> tuple[Waveform, list[Segment]]:
    """Examples one after the other with pauses, each varied, and when each is spoken."""
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
    return np.concatenate(pieces), segments
