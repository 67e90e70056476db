"""How far speech stands above the noise of its recording, whatever its gain.

:mod:`medasr.audio.levels` takes the 10th percentile of the frames for the noise, which suits consultations: somebody pauses more
often than that. Recordings of a dataset are cut close to a sentence of a few seconds, pauses are less than a tenth of them, and
the 10th percentile falls into the speech: the same speaker in the same room seems clean in one and noisy in the next. Here the
noise is what the quietest moments hold. docs/preparation.md has the figures of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medasr.audio.levels import AUDIBLE_DBFS, FRAME_SAMPLES, SPEECH_RANGE_DB, SPEECH_TRIM_PERCENTILE, decibels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medasr.types import Waveform

QUIETEST_SHARE = 0.01  #: of the frames; they hold the noise alone
QUIETEST_FRAMES = 3  #: at least so many, so that one dropped packet does not pass for a clean room
STANDS_OUT_DB = 5.0  #: frames less than this above the noise are noise too

_BLOCK_FRAMES = 2**15  # of 32 ms: a quarter of an hour at a time


@dataclass(frozen=True, kw_only=True)
class Levels:
    """How loud the speech is and how loud the noise."""

    speech_dbfs: float | None  #: None when nothing stands out from the noise
    noise_dbfs: float | None  #: None for digital silence

    @property
    def snr_db(self) -> float | None:
        """Speech over noise, with the noise taken out of the former; None where one of them is not known."""
        if self.speech_dbfs is None or self.noise_dbfs is None:
            return None
        return decibels(10 ** ((self.speech_dbfs - self.noise_dbfs) / 10) - 1)


def measure_levels(waveform: Waveform, gain_db: float = 0.0) -> Levels:
    """Estimate the levels of a recording's speech and noise.

    Args:
        waveform: mono samples at 16 kHz, shape ``[n]``.
        gain_db: what was applied to them, and is taken off the levels again.

    Returns:
        The noise is the mean power of the quietest hundredth of the audible 32 ms frames, at least three. Frames 5 dB above it are
        speech; its level is their mean power without the loudest 5 % and without those 15.9 dB below the others' mean, the margin of
        ITU-T P.56's active speech level.
    """
    power = np.sort(_frame_powers(waveform)) / 10 ** (gain_db / 10)
    power = power[power >= 10 ** (AUDIBLE_DBFS / 10)]
    if not len(power):
        return Levels(speech_dbfs=None, noise_dbfs=None)
    noise = float(np.mean(power[: max(QUIETEST_FRAMES, math.ceil(QUIETEST_SHARE * len(power)))]))
    active = power[power >= noise * 10 ** (STANDS_OUT_DB / 10)]
    if not len(active):
        return Levels(speech_dbfs=None, noise_dbfs=decibels(noise))
    active = active[active <= np.percentile(active, SPEECH_TRIM_PERCENTILE)]
    active = active[active >= np.mean(active) / 10 ** (SPEECH_RANGE_DB / 10)]
    return Levels(speech_dbfs=decibels(float(np.mean(active))), noise_dbfs=decibels(noise))


def _frame_powers(waveform: Waveform) -> NDArray[np.float64]:
    """Mean square of each whole frame; what is shorter than one frame counts as one."""
    if len(waveform) < FRAME_SAMPLES:
        return np.array([np.mean(np.square(waveform, dtype=np.float64))]) if len(waveform) else np.zeros(0)
    step = _BLOCK_FRAMES * FRAME_SAMPLES
    blocks = (waveform[first : first + step] for first in range(0, len(waveform), step))
    whole = (block[: len(block) - len(block) % FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES) for block in blocks)
    return np.concatenate([np.mean(np.square(frames, dtype=np.float64), axis=1) for frames in whole])
