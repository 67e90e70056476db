"""How sure a figure is: the cluster bootstrap (Bisani and Ney, ICASSP 2004; clusters are speakers).

Utterances of one speaker succeed and fail together, so whole speakers are drawn. With few speakers (under ten or so) the intervals are
rough, and rather too narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medasr.metrics.scores import EditCounts, Estimate, ScoredUtterance, TermOutcomeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.float64]

#: Ratios of pooled counts, in percent: metric → counts in the numerator, counts in the denominator.
RATIOS = {
    "wer": (("word_errors",), ("words",)),
    "normalized_wer": (("normalized_word_errors",), ("normalized_words",)),
    "cer": (("character_errors",), ("characters",)),
    "normalized_cer": (("normalized_character_errors",), ("normalized_characters",)),
    "mta": (("correct",), ("correct", "missed")),
    "term_precision": (("correct",), ("correct", "invented")),
    "drug_mta": (("drug_correct",), ("drug_correct", "drug_missed")),
    "drug_precision": (("drug_correct",), ("drug_correct", "drug_invented")),
    "notebook_mta": (("notebook_found",), ("notebook_terms",)),
}
#: All metrics that :func:`rates` gives.
METRICS = (*RATIOS, "macro_mta")

_EDITS = {
    "word": "words",
    "normalized_word": "normalized_words",
    "character": "characters",
    "normalized_character": "normalized_characters",
}
_KINDS = tuple(TermOutcomeKind)
_COLUMNS = (
    *(f"{name}_errors" for name in _EDITS),
    *_EDITS.values(),
    *(str(kind) for kind in _KINDS),
    *(f"drug_{kind}" for kind in _KINDS),
    "notebook_terms",
    "notebook_found",
)


def clusters(scored: Sequence[ScoredUtterance]) -> tuple[str, list[int]]:
    """What is drawn ("speakers" where all are known and there are two or more, else "utterances"), and the cluster of each."""
    speakers = sorted({one.speaker for one in scored if one.speaker is not None})
    if len(speakers) < 2 or any(one.speaker is None for one in scored):
        return "utterances", list(range(len(scored)))
    numbers = {speaker: number for number, speaker in enumerate(speakers)}
    return "speakers", [numbers[one.speaker] for one in scored if one.speaker is not None]


def draw(count: int, samples: int, seed: int) -> Counts:
    """How often each of ``count`` clusters is drawn in each of ``samples`` resamples; shape ``[samples, count]``."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(count, [1 / count] * count, size=samples).astype(np.float64)


def rates(scored: Sequence[ScoredUtterance], membership: Sequence[int], weights: Counts) -> dict[str, Counts]:
    """Every metric under every weighting of the clusters.

    Given the utterances, the cluster of each, and weights of shape ``[samples, clusters]``, return for each of :data:`METRICS` its
    values in percent, shape ``[samples]``; NaN where nothing could be counted.
    """
    pooled = np.zeros((weights.shape[1], len(_COLUMNS)))
    for one, cluster in zip(scored, membership, strict=True):
        pooled[cluster] += _counted(one)
    sums = dict(zip(_COLUMNS, (weights @ pooled).T, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            name: 100 * sum(sums[part] for part in above) / sum(sums[part] for part in below)
            for name, (above, below) in RATIOS.items()
        }
    return values | {"macro_mta": _macro(scored, membership, weights)}


def estimate(value: float, drawn: Counts) -> Estimate:
    """A figure with the 2.5th and 97.5th percentile of its resamples."""
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return Estimate(value=None, low=None, high=None)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value=float(value), low=float(low), high=float(high))


def _counted(one: ScoredUtterance) -> list[float]:
    edits: list[EditCounts] = [getattr(one, name) for name in _EDITS.values()]
    return [
        *(counts.errors for counts in edits),
        *(counts.reference_length for counts in edits),
        *(sum(term.kind == kind for term in one.terms) for kind in _KINDS),
        *(sum(term.kind == kind and term.category == "drug" for term in one.terms) for kind in _KINDS),
        *one.notebook_terms,
    ]


def _macro(scored: Sequence[ScoredUtterance], membership: Sequence[int], weights: Counts) -> Counts:
    """The mean over terms of each term's accuracy; a term that was not drawn does not count."""
    names = sorted({term.term for one in scored for term in one.terms if term.kind is not TermOutcomeKind.INVENTED})
    places = {name: number for number, name in enumerate(names)}
    correct, said = np.zeros((2, weights.shape[1], len(names)))
    for one, cluster in zip(scored, membership, strict=True):
        for term in one.terms:
            if term.kind is not TermOutcomeKind.INVENTED:
                said[cluster, places[term.term]] += 1
                correct[cluster, places[term.term]] += term.kind is TermOutcomeKind.CORRECT
    occurring = weights @ said
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = np.where(occurring > 0, (weights @ correct) / occurring, 0.0)
        mean: Counts = 100 * accuracy.sum(axis=1) / (occurring > 0).sum(axis=1)
    return mean
