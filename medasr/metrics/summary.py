"""The metrics over many utterances, with intervals."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from medasr.errors import DatasetError
from medasr.metrics.bootstrap import METRICS, estimate, rates, resample
from medasr.metrics.calibration import calibration
from medasr.metrics.scores import (
    HEADLINE,
    Calibration,
    EditCounts,
    ScoredUtterance,
    Scores,
    TermCounts,
    TermOutcomeKind,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from medasr.metrics.scores import TermOutcome


def summarize(scored: Sequence[ScoredUtterance], *, samples: int = 1000, seed: int = 0) -> Scores:
    """Pool the counts of all utterances and resample them for the intervals; the same input gives the same result.

    Raise DatasetError when there is no utterance.
    """
    if not scored:
        raise DatasetError(
            "no utterance could be scored; `medasrd explore DATASET --out DIR` shows what is wrong with the dataset"
        )
    scored = sorted(scored, key=lambda one: one.id)
    resamples = resample(scored, samples, seed)
    values = rates(scored, resamples.membership, resamples.weights)
    estimates = {name: estimate(values[name][0], values[name][1:]) for name in METRICS}
    terms = _count_terms(scored, lambda term: term.term)
    hours = sum(one.seconds for one in scored) / 3600
    invented = sum(counts.invented for counts in terms.values())
    return Scores(
        **estimates,
        invented_per_hour=invented / hours if hours else None,
        words=_total([one.words for one in scored]),
        normalized_words=_total([one.normalized_words for one in scored]),
        categories=_count_terms(scored, lambda term: term.category),
        terms=terms,
        n_utterances=len(scored),
        n_terms=sum(counts.correct + counts.missed for counts in terms.values()),
        n_speakers=len({one.speaker for one in scored} - {None}),
        hours=hours,
        resampled=resamples.drawn,
        calibration=_calibrate(scored),
    )


def headline(scores: Scores) -> dict[str, Any]:
    """The figures that every output shows: each metric of ``HEADLINE`` with ``value``, ``low`` and ``high`` in percent, and counts."""
    metrics = {name: getattr(scores, name) for name in HEADLINE}
    figures: dict[str, Any] = {
        name: {"value": one.value, "low": one.low, "high": one.high} for name, one in metrics.items()
    }
    return figures | {"n_utterances": scores.n_utterances, "n_terms": scores.n_terms}


def _calibrate(scored: Sequence[ScoredUtterance]) -> Calibration | None:
    """Hold the confidences of written terms against whether they were said."""
    known = [
        (term.confidence, term.kind is TermOutcomeKind.CORRECT)
        for one in scored
        for term in one.terms
        if term.confidence is not None
    ]
    return calibration([confidence for confidence, _ in known], [said for _, said in known])


def _total(counts: Sequence[EditCounts]) -> EditCounts:
    return EditCounts(
        hits=sum(one.hits for one in counts),
        substitutions=sum(one.substitutions for one in counts),
        deletions=sum(one.deletions for one in counts),
        insertions=sum(one.insertions for one in counts),
    )


def _count_terms(scored: Sequence[ScoredUtterance], key: Callable[[TermOutcome], str]) -> dict[str, TermCounts]:
    counted = Counter((key(term), term.kind) for one in scored for term in one.terms)
    return {
        name: TermCounts(
            correct=counted[name, TermOutcomeKind.CORRECT],
            missed=counted[name, TermOutcomeKind.MISSED],
            invented=counted[name, TermOutcomeKind.INVENTED],
        )
        for name in sorted({name for name, _ in counted})
    }
