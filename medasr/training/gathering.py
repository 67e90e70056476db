"""What a training may learn from: fit recordings, in parts that do not leak, with enough of them and of what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from medasr.dataset.utterance import Dataset, Exclusion, Utterance
from medasr.errors import DatasetError, TrainingError, TrainingFailure
from medasr.lexicon import find
from medasr.preparation import PreparationRules, measure_all, prepare
from medasr.splits import Split, phrase_key, split_utterances

if TYPE_CHECKING:
    from medasr.lexicon import Lexicon
    from medasr.text.normalizers import TextNormalizer

#: The split in which everything is learned from and nothing is held back.
ALL = "all"
#: The split whose tested speakers are new.
_NEW_SPEAKERS = "phrase-and-speaker-disjoint"


@dataclass(frozen=True, kw_only=True)
class Need:
    """How little is too little."""

    utterances: int = 50
    terms: int = 20  #: medical terms said, in the part that is learned from


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a model is tested on, and so must not learn from."""

    utterances: tuple[Utterance, ...]
    new_speakers: bool  #: whether its speakers are promised to be unheard


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """The utterances of a dataset by what is done with them."""

    dataset: Dataset
    split: Split
    train: tuple[Utterance, ...]
    validate: tuple[Utterance, ...]
    dropped: tuple[Exclusion, ...]  #: not fit, with reasons
    tested: Tested | None = None  #: by the gate, where that is of another dataset
    tested_elsewhere: int = 0  #: left out for it

    @property
    def facts(self) -> dict[str, Any]:
        """What a manifest says about it: no text, no name."""
        return {
            "source": self.dataset.source,
            "sha256": self.dataset.sha256,
            "split": self.split.name,
            "split_sha256": self.split.sha256,
            "examples": len(self.train),
            "validation": len(self.validate),
            "speakers": len({one.speaker for one in self.train} - {None}),
            "dropped": dict(Counter(str(one.reason) for one in self.dropped)),
            "tested_elsewhere": self.tested_elsewhere,
        }


def gather(
    dataset: Dataset,
    split_name: str,
    normalizer: TextNormalizer,
    *,
    workers: int,
    progress: Callable[[int, int | None], None] | None = None,
) -> Gathered:
    """Give what of a dataset is learned from, and what decides between trials.

    With the split ``all`` everything is learned from. Raise TrainingError for a split that leaks or has nothing to learn from.
    """
    try:
        split = split_utterances(dataset, split_name)
        parts = (split.part("test"), ()) if split_name == ALL else (split.part("train"), split.parts["validate"])
    except DatasetError as error:
        raise TrainingError(str(error), TrainingFailure.NO_DATA) from error
    require_no_leak(split)
    measured, exclusions = measure_all(dataset, workers=workers, progress=progress)
    preparation = prepare(dataset, measured, exclusions, rules=PreparationRules(), normalizer=normalizer)
    kept = set(preparation.kept)
    by_id = {one.id: one for one in dataset}
    train, validate = (tuple(by_id[one] for one in ids if one in kept) for ids in parts)
    return Gathered(dataset=dataset, split=split, train=train, validate=validate, dropped=preparation.dropped)


def require_no_leak(split: Split) -> None:
    """Raise TrainingError when what is tested or validated is learned from too: the same recording or the same phrase."""
    for leak in split.leaks.found:
        if leak.shared_recordings or leak.shared_phrases:
            raise TrainingError(
                f"the split {split.name} leaks: of {leak.utterances} recordings in {leak.part}, {leak.shared_phrases} say a phrase that is "
                f"also in {leak.earlier}; a model would be tested on what it learned by heart: use the split "
                "phrase-and-speaker-disjoint (evaluation.split)",
                TrainingFailure.LEAK,
            )


def require_enough(train: Sequence[Utterance], lexicon: Lexicon, need: Need, left_out: int = 0) -> None:
    """Raise TrainingError when there is too little to learn from, or too few medical terms in it.

    Given besides how many were left out since the gate tests them.
    """
    if len(train) < need.utterances:
        tested = f", besides {left_out} that the gate tests (evaluation.dataset, evaluation.split)" if left_out else ""
        raise TrainingError(
            f"{len(train)} recordings{tested} are too few to learn from; at least {need.utterances} are needed "
            "(training.min_utterances)",
            TrainingFailure.NO_DATA,
        )
    terms = sum(len(find(lexicon, one.reference)) for one in train)
    if terms < need.terms:
        raise TrainingError(
            f"{terms} medical terms are said in {len(train)} recordings; at least {need.terms} are needed to teach any "
            "(training.min_terms); is this the right dataset, and the right lexicon?",
            TrainingFailure.TOO_FEW_TERMS,
        )


def without_tested(utterances: Sequence[Utterance], gathered: Gathered) -> tuple[Utterance, ...]:
    """Those of further utterances that share neither recording nor phrase with what validates or tests.

    Where the split promises new speakers, nor a speaker: the gate turns down what knows a voice of the test.
    """
    if gathered.tested:
        utterances = _without(utterances, gathered.tested)
    held_back: Collection[str] = {*gathered.split.parts.get("validate", ()), *gathered.split.parts.get("test", ())}
    if gathered.split.name == ALL:
        held_back = ()
    kept = tuple(one for one in gathered.dataset if one.id in held_back)
    return _without(utterances, Tested(utterances=kept, new_speakers=gathered.split.name == _NEW_SPEAKERS))


def apart_from(gathered: Gathered, tested: Dataset, split_name: str) -> Gathered:
    """The same, without what shares recording or phrase with the test part of another dataset, which the gate measures on.

    Where its split promises new speakers, nor a speaker. Raise TrainingError when it has no test part.
    """
    try:
        ids = set(split_utterances(tested, split_name).part("test"))
    except DatasetError as error:
        raise TrainingError(f"evaluation.dataset: {error}", TrainingFailure.NO_DATA) from error
    kept = Tested(utterances=tuple(one for one in tested if one.id in ids), new_speakers=split_name == _NEW_SPEAKERS)
    train, validate = (_without(part, kept) for part in (gathered.train, gathered.validate))
    left_out = len(gathered.train) + len(gathered.validate) - len(train) - len(validate)
    return replace(gathered, train=train, validate=validate, tested=kept, tested_elsewhere=left_out)


def _without(utterances: Sequence[Utterance], tested: Tested) -> tuple[Utterance, ...]:
    recordings = {one.audio_sha256 for one in tested.utterances}
    phrases = {phrase_key(one.reference) for one in tested.utterances}
    speakers = {one.speaker for one in tested.utterances} - {None} if tested.new_speakers else set()
    return tuple(
        one
        for one in utterances
        if one.audio_sha256 not in recordings
        and phrase_key(one.reference) not in phrases
        and one.speaker not in speakers
    )
