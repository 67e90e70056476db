"""Varied speech stays speech: as long as its speed says, as noisy as asked for, masked where it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medasr.training.augmentation import add_noise, coloured_noise, mask, vary
from medasr.training.recipe import NOTEBOOK, TrainingRecipe
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS
from tests.support.recordings import voice


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_another_speed_is_another_length(speed: float) -> None:
    spoken = voice(2.0)
    varied = vary(spoken, TrainingRecipe(speeds=(speed,), noise_share=0.0), chance())
    assert len(varied) == pytest.approx(2.0 * SAMPLE_RATE / speed, abs=2)
    assert varied.dtype == np.float32


@pytest.mark.parametrize("snr_db", [5.0, 20.0])
def test_noise_has_the_power_it_should(snr_db: float) -> None:
    spoken = voice(3.0)
    noise = add_noise(spoken, snr_db, chance()) - spoken
    measured = 10 * np.log10(np.mean(spoken.astype(np.float64) ** 2) / np.mean(noise.astype(np.float64) ** 2))
    assert measured == pytest.approx(snr_db, abs=0.1)


def test_noise_of_any_length_has_power_one() -> None:
    assert len(coloured_noise(0, chance())) == 0
    for length in (1000, 16001):
        assert float(np.mean(coloured_noise(length, chance()) ** 2)) == pytest.approx(1.0, abs=0.01)


def test_the_notebook_changes_nothing() -> None:
    spoken = voice(1.0)
    assert vary(spoken, NOTEBOOK, chance()) is spoken
    features = torch.randn(2, 80, 1000)
    before = features.clone()
    mask(features, [3.0, 4.0], NOTEBOOK, chance())
    assert torch.equal(features, before)


def test_moments_are_masked_within_the_speech_only() -> None:
    recipe = TrainingRecipe(time_masks=20, mel_masks=0)
    features = torch.randn(1, 80, 1000, generator=torch.Generator().manual_seed(0))
    before = features.clone()
    mask(features, [3.0], recipe, chance())
    changed = (features != before).any(dim=1)[0]
    assert changed[:300].any()
    assert not changed[300:].any()


def test_the_same_chance_gives_the_same_speech() -> None:
    spoken, recipe = voice(1.0), TrainingRecipe()
    assert np.array_equal(vary(spoken, recipe, chance(3)), vary(spoken, recipe, chance(3)))


def test_what_fills_a_window_is_not_slowed_beyond_it() -> None:
    long = np.ones(round(28.0 * SAMPLE_RATE), dtype=np.float32)
    recipe = TrainingRecipe(speeds=(0.9,), noise_share=0.0)
    assert len(vary(long, recipe, chance())) <= WINDOW_SECONDS * SAMPLE_RATE
