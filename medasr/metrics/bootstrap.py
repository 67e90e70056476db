"""How sure a figure is: the cluster bootstrap (Bisani and Ney, ICASSP 2004; clusters are speakers).

Utterances of one speaker succeed and fail together, so whole speakers are drawn. With few speakers (under ten or so) the intervals are
rough, and rather too narrow: of three speakers who all fare a little better every draw is better. Under :data:`FEW_SPEAKERS` the
utterances of each drawn speaker are therefore drawn too.
"""

from __future__ import annotations

from dataclasses import dataclass
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

#: Fewer speakers say too little about other speakers for them alone to be drawn.
FEW_SPEAKERS = 5

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


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """What is drawn, and how often in each resample."""

    drawn: str  #: "speakers", "speakers and their utterances" or "utterances"
    membership: list[int]  #: the cluster of each utterance
    weights: Counts  #: shape ``[1 + samples, clusters]``; the first row is the set itself, all ones


def resample(scored: Sequence[ScoredUtterance], samples: int, seed: int) -> Resamples:
    """Draw speakers where every utterance names one and there are two or more, with their utterances where they are few; else utterances."""
    generator = np.random.default_rng(seed)
    names = sorted({one.speaker for one in scored if one.speaker is not None})
    each = list(range(len(scored)))
    if len(names) < 2 or any(one.speaker is None for one in scored):
        return Resamples(drawn="utterances", membership=each, weights=_draw(len(scored), samples, generator))
    numbers = {speaker: number for number, speaker in enumerate(names)}
    speakers = [numbers[one.speaker] for one in scored if one.speaker is not None]
    weights = _draw(len(names), samples, generator)
    if len(names) >= FEW_SPEAKERS:
        return Resamples(drawn="speakers", membership=speakers, weights=weights)
    within = _draw_within(speakers, weights, generator)
    return Resamples(drawn="speakers and their utterances", membership=each, weights=within)


def resample_each(parts: Sequence[Sequence[ScoredUtterance]], samples: int, seed: int) -> Resamples:
    """Resample several sets, each by itself as :func:`resample` does: each resample holds as much of every set as there is.

    The membership is that of the sets' utterances one behind the other.
    """
    each = [resample(part, samples, seed + number) for number, part in enumerate(parts)]
    firsts = np.cumsum([0, *(one.weights.shape[1] for one in each)])
    return Resamples(
        drawn=", ".join(dict.fromkeys(one.drawn for one in each)),
        membership=[int(first) + place for first, one in zip(firsts, each, strict=False) for place in one.membership],
        weights=np.hstack([one.weights for one in each]),
    )


def _draw(count: int, samples: int, generator: np.random.Generator) -> Counts:
    """How often each of ``count`` is drawn, behind a row of ones."""
    drawn = generator.multinomial(count, [1 / count] * count, size=samples).astype(np.float64)
    return np.vstack([np.ones((1, count)), drawn])


def _draw_within(speakers: Sequence[int], weights: Counts, generator: np.random.Generator) -> Counts:
    """How often each utterance is drawn when each drawn speaker has as many of their own drawn as they have."""
    drawn = np.ones((len(weights), len(speakers)))
    for speaker in range(weights.shape[1]):
        own = [place for place, one in enumerate(speakers) if one == speaker]
        times = weights[1:, speaker].astype(np.int64) * len(own)
        drawn[1:, own] = generator.multinomial(times, [1 / len(own)] * len(own), size=len(times))
    return drawn


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
