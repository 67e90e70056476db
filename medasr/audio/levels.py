"""How loud the speech is, how loud the noise is, and the gain that follows from both.

Frame energies go into a histogram of half decibels, so hours take no more memory than seconds. docs/normalization.md gives the
reasons for every figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medasr.types import Waveform

#: Reported for digital silence, so that every level is a finite number.
SILENCE_DBFS = -120.0

FRAME_SAMPLES = 512  #: 32 ms at 16 kHz
AUDIBLE_DBFS = -95.0  #: below the quantization noise of 16 bits: digital silence, which is no noise floor
NOISE_PERCENTILE = 10.0
SPEECH_ABOVE_NOISE_DB = 6.0
SPEECH_TRIM_PERCENTILE = 95.0  #: louder frames are knocks and coughs, which must not set the level of the speech

SPEECH_RANGE_DB = 15.9  #: quieter frames are pauses; the margin of ITU-T P.56's active speech level

TARGET_DBFS = -23.0
MAX_GAIN_DB = 30.0
NOISE_CEILING_DBFS = -50.0

LIMIT_KNEE = 0.5
LIMIT_CEILING = 10 ** (-1 / 20)

_BIN_DB = 0.5
_HIGHEST_DBFS = 130.0  # float files may exceed full scale by far
_BINS = int((_HIGHEST_DBFS - SILENCE_DBFS) / _BIN_DB) + 1


def decibels(power: float) -> float:
    """A mean square as dBFS, never below :data:`SILENCE_DBFS`."""
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """Levels of a recording; both None when all of it is digital silence."""

    speech_dbfs: float | None
    noise_dbfs: float | None
    snr_db: float | None  #: None when no frame stands out from the noise

    @property
    def gain_db(self) -> float:
        """The gain that brings the speech to :data:`TARGET_DBFS`.

        At most :data:`MAX_GAIN_DB`, and never so much that the noise rises above :data:`NOISE_CEILING_DBFS`: a recording of an
        empty room stays an empty room. Attenuation is not bounded.
        """
        if self.speech_dbfs is None or self.noise_dbfs is None:
            return 0.0
        bound = min(MAX_GAIN_DB, max(0.0, NOISE_CEILING_DBFS - self.noise_dbfs))
        return min(TARGET_DBFS - self.speech_dbfs, bound)


class FrameLevels:
    """A histogram of the energies of 32 ms frames, filled block by block."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._rest = np.zeros(0, dtype=np.float32)

    def add(self, waveform: Waveform) -> None:
        """Take the next samples of a 16 kHz waveform."""
        samples = np.concatenate([self._rest, waveform])
        whole = len(samples) - len(samples) % FRAME_SAMPLES
        self._count(samples[:whole].reshape(-1, FRAME_SAMPLES))
        self._rest = samples[whole:]

    def loudness(self) -> Loudness:
        """Speech level, noise level and their ratio, once every sample has been added.

        The noise is the 10th percentile of the audible frames. Frames 6 dB above it are speech; its level is their mean power
        without the loudest 5 % and without those more than 15.9 dB below the others' mean. Where nothing stands out,
        everything audible is taken for the signal.
        """
        counts = self._counts.copy()
        if not counts.any() and len(self._rest):  # shorter than a frame
            counts[_bins(np.mean(np.square(self._rest, dtype=np.float64)))] += 1
        counts[_LEVELS < AUDIBLE_DBFS] = 0
        if not counts.any():
            return Loudness(speech_dbfs=None, noise_dbfs=None, snr_db=None)
        noise = _percentile(counts, NOISE_PERCENTILE)
        active = np.where(noise + SPEECH_ABOVE_NOISE_DB <= _LEVELS, counts, 0)
        if not active.any():
            return Loudness(speech_dbfs=decibels(_mean_power(counts)), noise_dbfs=noise, snr_db=None)
        active[_percentile(active, SPEECH_TRIM_PERCENTILE) < _LEVELS] = 0
        active[decibels(_mean_power(active)) - SPEECH_RANGE_DB > _LEVELS] = 0
        power = _mean_power(active)
        return Loudness(speech_dbfs=decibels(power), noise_dbfs=noise, snr_db=decibels(power / 10 ** (noise / 10) - 1))

    def _count(self, frames: Waveform) -> None:
        power = np.mean(np.square(frames, dtype=np.float64), axis=1)
        self._counts += np.bincount(_bins(power), minlength=_BINS)


def limit(waveform: Waveform) -> Waveform:
    """Bend what exceeds half of full scale towards -1 dBFS; leave everything else bit for bit.

    A soft knee with a continuous first derivative: a desk knock cannot clip, and cannot hold down the gain of the speech.
    """
    magnitude = np.abs(waveform)
    loud = magnitude > LIMIT_KNEE
    if not loud.any():
        return waveform
    room = LIMIT_CEILING - LIMIT_KNEE
    bent = LIMIT_KNEE + room * np.tanh((magnitude - LIMIT_KNEE) / room)
    return np.where(loud, np.copysign(bent, waveform), waveform).astype(np.float32)


#: The level at the middle of each bin, dBFS.
_LEVELS: NDArray[np.floating] = SILENCE_DBFS + _BIN_DB * (np.arange(_BINS) + 0.5)


def _bins(power: NDArray[np.floating] | np.floating) -> NDArray[np.intp]:
    level = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DBFS / 10)))
    return np.asarray(np.clip((level - SILENCE_DBFS) / _BIN_DB, 0, _BINS - 1), dtype=np.intp)


def _percentile(counts: NDArray[np.int64], percent: float) -> float:
    cumulative = np.cumsum(counts)
    return float(_LEVELS[int(np.searchsorted(cumulative, cumulative[-1] * percent / 100))])


def _mean_power(counts: NDArray[np.int64]) -> float:
    return float(np.sum(counts * 10 ** (_LEVELS / 10)) / np.sum(counts))
