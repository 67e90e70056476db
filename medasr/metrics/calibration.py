"""Whether a confidence means what it says: of what is held to be 80 % sure, 80 % should be right.

The expected calibration error of Guo et al. 2017 (https://arxiv.org/abs/1706.04599), with bins of equal mass as Nguyen and O'Connor 2015
(https://arxiv.org/abs/1508.05154): nearly all confidences of a good model are high, and bins of equal width would leave most of them empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medasr.metrics.scores import Calibration, ReliabilityBin

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Bins of a reliability table.
BINS = 10


def calibration(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> Calibration | None:
    """Hold confidences against what came true.

    Given ``[n]`` confidences (0..1) and whether each was right ``[n]``, return the expected calibration error and the reliability table; None
    for none. The bins hold equally many, but for one, and equal confidences share out their accuracy: their order says nothing.

    Raises:
        ValueError: the two are not equally long, or a confidence lies outside 0..1.
    """
    sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.shape != right.shape:
        raise ValueError(f"{len(sure)} confidences for {len(right)} outcomes")
    if not len(sure):
        return None
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("a confidence lies between 0 and 1")
    order = np.argsort(sure, kind="stable")
    sure = sure[order]
    _, group, sizes = np.unique(sure, return_inverse=True, return_counts=True)
    right = (np.bincount(group, weights=right[order]) / sizes)[group]
    parts = [part for part in np.array_split(np.arange(len(sure)), bins) if len(part)]
    table = tuple(
        ReliabilityBin(count=len(part), confidence=float(sure[part].mean()), accuracy=float(right[part].mean()))
        for part in parts
    )
    error = sum(one.count * abs(one.accuracy - one.confidence) for one in table) / len(sure)
    return Calibration(error=error, bins=table)
