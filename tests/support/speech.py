"""Sounds for the tests of recognition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from medasr.types import Waveform

SECONDS = 12


def silence() -> Waveform:
    return np.zeros(SECONDS * SAMPLE_RATE, np.float32)


def white_noise() -> Waveform:
    return (0.1 * np.random.default_rng(1).standard_normal(SECONDS * SAMPLE_RATE)).astype(np.float32)


def brown_noise() -> Waveform:
    steps = np.cumsum(np.random.default_rng(2).standard_normal(SECONDS * SAMPLE_RATE))
    return (0.3 * (steps - steps.mean()) / np.abs(steps).max()).astype(np.float32)


def mains_hum() -> Waveform:
    return (0.3 * np.sin(2 * np.pi * 50 * _times()) + 0.1 * np.sin(2 * np.pi * 150 * _times())).astype(np.float32)


def monitor_beeps() -> Waveform:
    return (0.5 * np.sin(2 * np.pi * 960 * _times()) * (_times() % 1.0 < 0.15)).astype(np.float32)


def _times() -> np.ndarray:
    return np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


#: Sounds in which nobody speaks, by name.
NON_SPEECH: Mapping[str, Callable[[], Waveform]] = {
    maker.__name__: maker for maker in (silence, white_noise, brown_noise, mains_hum, monitor_beeps)
}
