"""What one model wrote of everything that the accuracy benchmark tests it on, scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.summary import summarize


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What one model wrote in all folds, and how long its training took."""

    name: str
    medical: tuple[ScoredUtterance, ...]
    unlike: tuple[ScoredUtterance, ...]
    joined: tuple[ScoredUtterance, ...]
    time_error: float  #: seconds, median of how far a segment's start is from a recording's, in the joined ones
    sound_words: int
    training_seconds: float


def pool(name: str, parts: Sequence[Scored]) -> Scored:
    """The folds together; sets that are tested in each fold are counted as often."""
    return Scored(
        name=name,
        medical=tuple(one for part in parts for one in part.medical),
        unlike=tuple(replace(one, id=f"{fold}-{one.id}") for fold, part in enumerate(parts) for one in part.unlike),
        joined=tuple(replace(one, id=f"{fold}-{one.id}") for fold, part in enumerate(parts) for one in part.joined),
        time_error=float(np.median([part.time_error for part in parts])),
        sound_words=sum(part.sound_words for part in parts),
        training_seconds=float(np.mean([part.training_seconds for part in parts])),
    )


def tested_alike(stock: Scored, other: Scored) -> Scored:
    """Of what stock wrote, that for which the other wrote something too."""

    def common(of_stock: Sequence[ScoredUtterance], of_other: Sequence[ScoredUtterance]) -> tuple[ScoredUtterance, ...]:
        known = {one.id for one in of_other}
        return tuple(one for one in of_stock if one.id in known)

    return replace(
        stock,
        medical=common(stock.medical, other.medical),
        unlike=common(stock.unlike, other.unlike),
        joined=common(stock.joined, other.joined),
    )


def normalized_wer(scored: Sequence[ScoredUtterance]) -> float:
    """In percent."""
    return summarize(scored, samples=1).normalized_wer.value or 0.0
