"""Long recordings: real ones joined to a consultation, with pauses as between turns, and invented consultations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.speech import Normalized, Spoken
from medasr.audio import read_normalized
from medasr.training.augmentation import add_noise, coloured_noise
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.types import Waveform

#: Median of the pauses between recordings in seconds, their spread (of the logarithm), and how long they are at least and at most.
_PAUSE = 0.7
_PAUSE_SPREAD = 0.8
_PAUSES = (0.2, 6.0)
#: The quiet of the room that is heard throughout, dBFS: between recordings there is never digital silence.
_ROOM_DBFS = -65.0
#: In the second half the room is loud.
_NOISE_DB = 15.0


def join(recordings: Sequence[Normalized], seconds: float, target: Path) -> Normalized:
    """Recordings one after the other, from the first again when all were used, until ``seconds`` are full; noise from the middle on."""
    chance = np.random.default_rng(0)
    pieces: list[Waveform] = []
    said: list[str] = []
    total = 0
    while total < seconds * SAMPLE_RATE:
        part = recordings[len(said) % len(recordings)]
        pause = np.clip(chance.lognormal(np.log(_PAUSE), _PAUSE_SPREAD), *_PAUSES)
        pieces += [np.array(read_normalized(part.pcm)), np.zeros(round(pause * SAMPLE_RATE), dtype=np.float32)]
        said.append(part.spoken.reference)
        total += len(pieces[-2]) + len(pieces[-1])
    samples = np.concatenate(pieces)
    samples += coloured_noise(len(samples), chance) * np.float32(10 ** (_ROOM_DBFS / 20))
    half = len(samples) // 2
    samples[half:] = add_noise(samples[half:], _NOISE_DB, chance)
    target.write_bytes(np.clip(samples, -1.0, 1.0).astype("<f4").tobytes())
    spoken = Spoken(path=target, reference=" ".join(said))
    return Normalized(spoken=spoken, pcm=target, seconds=len(samples) / SAMPLE_RATE)
