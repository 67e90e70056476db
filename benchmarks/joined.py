"""Long recordings made of short ones, with pauses between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.training.examples import Example
    from medasr.types import Waveform

_JOINED_SECONDS = 120.0
_PAUSES = (0.4, 1.6)


def grouped(test: Sequence[Example]) -> list[list[Example]]:
    """Recordings in the order of their ids, as many together as make a long one."""
    groups: list[list[Example]] = [[]]
    for one in sorted(test, key=lambda example: example.id):
        if sum(example.seconds for example in groups[-1]) > _JOINED_SECONDS:
            groups.append([])
        groups[-1].append(one)
    return groups


def join(group: Sequence[Example]) -> tuple[Waveform, list[float]]:
    """A long recording, and the second at which each of its parts begins."""
    chance = np.random.default_rng(0)
    pieces, starts, position = [], [], 0
    for one in group:
        pause = round(chance.uniform(*_PAUSES) * SAMPLE_RATE)
        pieces += [np.zeros(pause, dtype=np.float32), one.waveform()]
        position += pause
        starts.append(position / SAMPLE_RATE)
        position += len(pieces[-1])
    return np.concatenate(pieces), starts
