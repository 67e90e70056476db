"""Whisper's input: log-mel spectrograms of 30 s windows (Radford et al. 2022, https://arxiv.org/abs/2212.04356, section 2.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medasr.types import SAMPLE_RATE, WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medasr.types import Waveform

_FFT_SAMPLES = 400
_HOP_SAMPLES = 160
_DYNAMIC_RANGE = 8.0  # in powers of ten, below the loudest value of the window


def log_mel(
    windows: Sequence[Waveform], mel_bins: int, device: torch.device, seconds: float = WINDOW_SECONDS
) -> torch.Tensor:
    """Given windows of at most ``seconds``, return their log-mel spectrograms, float32, shape ``[windows, mel_bins, 100 * seconds]``.

    Each window is filled up with digital silence *before* the transform, as in training; at 30 s equal to transformers'
    WhisperFeatureExtractor within 1e-4. Raise ValueError for a longer window.
    """
    filled = np.zeros((len(windows), round(seconds * SAMPLE_RATE)), dtype=np.float32)
    for row, window in zip(filled, windows, strict=True):
        if len(window) > len(row):
            raise ValueError(f"a window of {len(window) / SAMPLE_RATE:.2f} s; at most {seconds:g} s fit here")
        row[: len(window)] = window
    waveforms = torch.from_numpy(filled).to(device)
    spectrum = torch.stft(
        waveforms,
        _FFT_SAMPLES,
        _HOP_SAMPLES,
        window=torch.hann_window(_FFT_SAMPLES, device=device),
        return_complex=True,
    )
    power = spectrum[..., :-1].abs().square()
    level = (_mel_filters(mel_bins).to(device) @ power).clamp(min=1e-10).log10()
    loudest = level.amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(level, loudest - _DYNAMIC_RANGE) + 4.0) / 4.0


@lru_cache(maxsize=2)
def _mel_filters(mel_bins: int) -> torch.Tensor:
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=1 + _FFT_SAMPLES // 2,
        num_mel_filters=mel_bins,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(filters.T.astype(np.float32)).contiguous()
