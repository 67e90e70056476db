"""Two models on the same utterances: paired differences, and what changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medasr.errors import NotComparable
from medasr.metrics.bootstrap import METRICS, estimate, rates, resample_each
from medasr.metrics.scores import HIGHER_IS_BETTER, Estimate, ScoredUtterance, TermOutcomeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What became of a metric from the first model to the second."""

    metric: str
    points: Estimate  #: second minus first, in percentage points
    probability_better: float | None  #: share of the resamples in which the second is better; ties count half
    drawn: NDArray[np.float64] = field(
        repr=False, compare=False
    )  #: points in each resample where both could be counted

    def probability_worse_by(self, margin: float) -> float | None:
        """Share of the resamples in which the second is worse by more than so many points; None where nothing could be counted."""
        if not len(self.drawn):
            return None
        return float(np.mean(-self.drawn > margin if self.metric in HIGHER_IS_BETTER else self.drawn > margin))


@dataclass(frozen=True, kw_only=True)
class ChangedUtterance:
    """An utterance that the two models wrote differently, after normalization."""

    first: ScoredUtterance
    second: ScoredUtterance

    @property
    def more_errors(self) -> int:
        """Normalized word errors of the second beyond the first's; negative for an improvement."""
        return self.second.normalized_words.errors - self.first.normalized_words.errors

    @property
    def fewer_terms(self) -> int:
        """Terms that the second missed or invented beyond the first."""
        return _term_errors(self.second) - _term_errors(self.first)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same utterances."""

    differences: dict[str, Difference]
    changed: tuple[ChangedUtterance, ...]  #: worst for the second model first


def compare(
    first: Sequence[ScoredUtterance], second: Sequence[ScoredUtterance], *, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two models, drawing the same speakers (or utterances) for both.

    Raise NotComparable unless both scored the same utterances with the same normalized references.
    """
    return compare_together([(first, second)], samples=samples, seed=seed)


def compare_together(
    parts: Sequence[tuple[Sequence[ScoredUtterance], Sequence[ScoredUtterance]]], *, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two models on several sets at once, given what they scored on each; each set is drawn by itself, and their counts are added.

    Raise NotComparable unless both scored the same utterances of each set with the same normalized references.
    """
    ordered = [[sorted(scored, key=lambda one: one.id) for scored in part] for part in parts]
    for one, other in ordered:
        _require_same(one, other)
    resamples = resample_each([one for one, _ in ordered], samples, seed)
    first, second = ([scored for part in ordered for scored in part[side]] for side in (0, 1))
    before, after = (rates(scored, resamples.membership, resamples.weights) for scored in (first, second))
    differences = {}
    for metric in METRICS:
        points = after[metric] - before[metric]
        differences[metric] = Difference(
            metric=metric,
            points=estimate(points[0], points[1:]),
            probability_better=_share_better(metric, points[1:]),
            drawn=points[1:][~np.isnan(points[1:])],
        )
    pairs = [ChangedUtterance(first=one, second=other) for one, other in zip(first, second, strict=True)]
    changed = [pair for pair in pairs if pair.first.normalized_hypothesis != pair.second.normalized_hypothesis]
    changed.sort(key=lambda pair: (-pair.fewer_terms, -pair.more_errors, pair.first.id))
    return Comparison(differences=differences, changed=tuple(changed))


def _require_same(first: Sequence[ScoredUtterance], second: Sequence[ScoredUtterance]) -> None:
    if not first and not second:
        raise NotComparable("neither evaluation has utterances; evaluate both models on a dataset with references")
    one, other = ({scored.id: scored.normalized_reference for scored in side} for side in (first, second))
    if one.keys() != other.keys():
        raise NotComparable(
            f"the utterances differ: {len(one.keys() - other.keys())} are only in the first, "
            f"{len(other.keys() - one.keys())} only in the second; evaluate both with the same dataset, split and limit"
        )
    if different := sum(one[key] != other[key] for key in one):
        raise NotComparable(
            f"the references of {different} utterances differ; evaluate both with the same dataset and normalizer"
        )


def _share_better(metric: str, points: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    known = points[~np.isnan(points)]
    if not len(known):
        return None
    better = known > 0 if metric in HIGHER_IS_BETTER else known < 0
    return float(np.mean(better) + np.mean(known == 0) / 2)


def _term_errors(scored: ScoredUtterance) -> int:
    return sum(term.kind is not TermOutcomeKind.CORRECT for term in scored.terms)
