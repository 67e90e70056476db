"""How each split would divide a dataset, and what its parts would share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medasr.dataset.utterance import Utterance
from medasr.splits import Leak, Split, phrase_key


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """One part of a split."""

    recordings: int
    seconds: float
    phrases: int
    speakers: int


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """One way to split the dataset."""

    name: str
    parts: Mapping[str, PartFacts]  #: train, validate, test
    unused: int  #: recordings in no part
    leaks: tuple[Leak, ...]
    warnings: tuple[str, ...]  #: the leaks in plain words


def describe_split(split: Split, utterances: Iterable[Utterance], seconds: Mapping[str, float]) -> SplitFacts:
    """Given a split, its utterances, and the seconds of those that could be measured, describe it."""
    by_id = {one.id: one for one in utterances}
    return SplitFacts(
        name=split.name,
        parts={part: _describe([by_id[key] for key in ids], seconds) for part, ids in split.parts.items()},
        unused=len(split.unused),
        leaks=split.leaks.found,
        warnings=split.leaks.warnings(),
    )


def _describe(utterances: Sequence[Utterance], seconds: Mapping[str, float]) -> PartFacts:
    return PartFacts(
        recordings=len(utterances),
        seconds=sum(seconds.get(one.id, 0.0) for one in utterances),
        phrases=len({phrase_key(one.reference) for one in utterances}),
        speakers=len({one.speaker for one in utterances} - {None}),
    )
