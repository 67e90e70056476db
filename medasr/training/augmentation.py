"""The same speech, heard otherwise: another speed, noise in the room, bands and moments that are missing.

Speed: Ko et al. 2015 (Interspeech). Masks: SpecAugment, Park et al. 2019 (https://arxiv.org/abs/1904.08779).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from medasr.types import SAMPLE_RATE, WINDOW_SECONDS

if TYPE_CHECKING:
    from medasr.training.recipe import TrainingRecipe
    from medasr.types import Waveform

_FRAMES_A_SECOND = 100


def vary(waveform: Waveform, recipe: TrainingRecipe, chance: np.random.Generator) -> Waveform:
    """Change speed and add noise as the recipe wants, at random; another speed changes the length, never beyond a window."""
    speed = float(chance.choice(recipe.speeds))
    if len(waveform) / SAMPLE_RATE / speed > WINDOW_SECONDS:
        speed = 1.0
    if speed != 1.0:
        import soxr

        waveform = np.asarray(soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE), dtype=np.float32)
    if chance.random() < recipe.noise_share:
        waveform = add_noise(waveform, float(chance.uniform(*recipe.noise_snr_db)), chance)
    return waveform


def add_noise(waveform: Waveform, snr_db: float, chance: np.random.Generator) -> Waveform:
    """Add noise at a ratio to the whole signal's power."""
    noise = coloured_noise(len(waveform), chance)
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    return np.asarray(waveform + noise * np.sqrt(power * 10 ** (-snr_db / 10)), dtype=np.float32)


def coloured_noise(length: int, chance: np.random.Generator) -> Waveform:
    """Noise of power 1 whose power falls with frequency by a random exponent between white (0) and brown (2); shape ``[length]``."""
    if not length:
        return np.zeros(0, dtype=np.float32)
    spectrum = np.fft.rfft(chance.standard_normal(length))
    exponent = chance.uniform(0.0, 2.0)
    frequencies = np.maximum(np.fft.rfftfreq(length), 50 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / frequencies ** (exponent / 2), length)
    return np.asarray(noise / max(float(np.sqrt(np.mean(np.square(noise)))), 1e-9), dtype=np.float32)


def mask(features: torch.Tensor, seconds: list[float], recipe: TrainingRecipe, chance: np.random.Generator) -> None:
    """Set moments and mel bands of each window to its mean, in place; ``seconds`` of each window are speech, and masked alone."""
    for window, length in zip(features, seconds, strict=True):
        bands, mean = window.shape[0], window.mean()
        for _ in range(recipe.mel_masks):
            width = int(chance.integers(0, recipe.mel_mask_bands + 1)) * bands // 80
            first = int(chance.integers(0, bands - width + 1))
            window[first : first + width] = mean
        frames = min(round(length * _FRAMES_A_SECOND), window.shape[1])
        for _ in range(recipe.time_masks):
            width = int(chance.integers(0, round(recipe.time_mask_seconds * _FRAMES_A_SECOND) + 1))
            first = int(chance.integers(0, max(frames - width, 0) + 1))
            window[:, first : first + width] = mean
