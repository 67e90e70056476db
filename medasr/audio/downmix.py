"""Many channels → one, without losing the voice.

Averaging is the right mix for ordinary stereo, and the wrong one twice: where one channel is wired with inverted polarity the
voice cancels, and where a channel is dead the voice loses 6 dB. Both are decided from second moments gathered in one streaming
pass, so memory does not grow with the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medasr.audio.levels import decibels

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A channel this far below the loudest adds nothing but its noise.
DEAD_CHANNEL_DB = 40.0

#: Correlation below which two channels are taken for one voice with opposite polarity. Two microphones in one room, or two
#: independent speakers, stay well above it.
INVERTED_CORRELATION = -0.5

#: From here on a sample counts as being at full scale; the highest code of a 16-bit converter is 0.99997, of an 8-bit one 0.992.
FULL_SCALE = 0.999
FULL_SCALE_8_BIT = 127 / 128

#: Share of clipped samples from which a recording is called CLIPPED; a few loud syllables do no harm.
CLIPPED_SHARE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Downmix:
    """How the channels become one, and what the mono mix measures before any gain."""

    weights: NDArray[np.float64]  #: one per channel, summing to 1
    dc_offset: float  #: mean of the mix
    rms_dbfs: float  #: of the mix without its DC offset
    peak: float  #: largest absolute sample of the channels in use, linear
    clipped_share: float
    warnings: tuple[str, ...]


class ChannelStatistics:
    """First and second moments, peaks and clipping of every channel, gathered block by block."""

    def __init__(self, channels: int, full_scale: float) -> None:
        self.frames = 0
        self._full_scale = full_scale
        self._sums = np.zeros(channels)
        self._products = np.zeros((channels, channels))
        self._peaks = np.zeros(channels)
        self._clipped = np.zeros(channels, dtype=np.int64)
        self._pending = np.zeros((channels, 4), dtype=bool)

    @property
    def finite(self) -> bool:
        """False as soon as a NaN or an infinity has been seen; float32 squares cannot overflow a float64 sum."""
        return bool(np.isfinite(self._products).all())

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the next samples, shape ``[frames, channels]``."""
        if not len(block):
            return
        self.frames += len(block)
        channels = np.ascontiguousarray(block.T)  # numpy reduces along memory ten times faster than across it
        wide = channels.astype(np.float64)
        self._sums += wide.sum(axis=1)
        self._products += wide @ wide.T
        np.maximum(self._peaks, np.maximum(channels.max(axis=1), -channels.min(axis=1)), out=self._peaks)
        self._count_clipped(np.abs(channels) >= self._full_scale)

    def downmix(self) -> Downmix:
        """Decide how to mix, once every sample has been added (at least one)."""
        means = self._sums / self.frames
        covariance = self._products / self.frames - np.outer(means, means)
        weights, warnings = _choose_weights(covariance)
        used = weights > 0
        self._count_clipped(np.zeros((len(means), 2), dtype=bool))
        clipped_share = float(self._clipped[used].sum() / (self.frames * used.sum()))
        if clipped_share >= CLIPPED_SHARE:
            warnings = (*warnings, "CLIPPED")
        return Downmix(
            weights=weights,
            dc_offset=float(weights @ means),
            rms_dbfs=decibels(float(weights @ covariance @ weights)),
            peak=float(self._peaks[used].max()),
            clipped_share=clipped_share,
            warnings=warnings,
        )

    def _count_clipped(self, at_full_scale: NDArray[np.bool_]) -> None:
        """Count samples in runs of three or more; the last four of each channel wait for what the next block adds to their run."""
        samples = np.concatenate([self._pending, at_full_scale], axis=1)
        self._pending = samples[:, -4:]
        if not samples.any():
            return
        middles = samples[:, :-2] & samples[:, 1:-1] & samples[:, 2:]
        in_run = middles[:, :-2] | middles[:, 1:-1] | middles[:, 2:]
        self._clipped += in_run.sum(axis=1)


def _choose_weights(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The mean of the live channels; the loudest alone when two of them are inverted against each other."""
    power = np.maximum(np.diag(covariance), 0.0)
    live = power >= power.max() * 10 ** (-DEAD_CHANNEL_DB / 10)
    warnings: tuple[str, ...] = () if live.all() else ("DEAD_CHANNEL",)
    scale = np.sqrt(np.outer(power, power))
    correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    if (correlation[np.ix_(live, live)] < INVERTED_CORRELATION).any():
        live = np.arange(len(power)) == power.argmax()
        warnings = (*warnings, "PHASE_INVERTED")
    return live / live.sum(), warnings
