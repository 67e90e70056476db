"""Two measures of noise beside each other: the signal-to-noise ratio, and the mean amplitude that the notebook takes for noise.

The notebook sorts recordings by mean(abs(samples)) and drops the largest as too noisy. That figure grows with the voice as much
as with the noise, so it finds loud recordings. How much the two disagree on a dataset is told, not assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medasr.exploration.distribution import Distribution, describe

#: This share of the recordings is called the noisiest by either measure.
NOISIEST_SHARE = 0.1

#: Fewer recordings than this have no rank correlation worth telling.
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class NoiseFacts:
    """Both measures over the recordings, and where they part."""

    snr: Distribution | None  #: dB
    energy: Distribution | None  #: mean amplitude, 0..1
    compared: int  #: recordings that have both figures
    rank_correlation: float | None  #: Spearman's, of energy and SNR: -1 if the loudest were always the noisiest
    noisiest: int  #: recordings in the noisiest tenth
    shared: int  #: of these, found by both measures
    loud_but_clean: int  #: in the noisiest tenth by energy although their SNR is better than the median
    points: tuple[tuple[float, float], ...] = field(repr=False)  #: energy and SNR of each recording compared


def compare_noise(figures: Sequence[tuple[float, float | None]]) -> NoiseFacts:
    """Compare both measures, given mean amplitude and SNR (dB; None where it cannot be estimated) of each recording."""
    both = [(energy, snr) for energy, snr in figures if snr is not None and math.isfinite(snr)]
    energies, ratios = (np.array([pair[side] for pair in both], dtype=np.float64) for side in (0, 1))
    noisiest = round(len(both) * NOISIEST_SHARE)
    loudest = set(np.argsort(-energies, kind="stable")[:noisiest].tolist())
    lowest = set(np.argsort(ratios, kind="stable")[:noisiest].tolist())
    middle = float(np.median(ratios)) if both else 0.0
    return NoiseFacts(
        snr=describe((snr for _, snr in figures), "dB"),
        energy=describe((energy for energy, _ in figures), "of full scale"),
        compared=len(both),
        rank_correlation=_rank_correlation(energies, ratios) if len(both) >= _FEWEST else None,
        noisiest=noisiest,
        shared=len(loudest & lowest),
        loud_but_clean=sum(bool(ratios[place] > middle) for place in loudest),
        points=tuple(both),
    )


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Spearman's: the correlation of the ranks, equal values sharing the mean of theirs."""
    ranks = [_ranks(values) for values in (first, second)]
    if any(float(np.ptp(rank)) == 0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], dtype=np.float64)
