"""Sounds in which nobody speaks: each another one, always the same, and such as a recording holds."""

from __future__ import annotations

import numpy as np

from medasr.nonspeech import SECONDS, make_sounds
from medasr.types import SAMPLE_RATE


def test_they_are_samples_of_a_recording() -> None:
    for _, sound in make_sounds():
        assert sound.dtype == np.float32
        assert sound.shape == (int(SECONDS * SAMPLE_RATE),)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() <= 1


def test_only_silence_is_silent() -> None:
    assert [name for name, sound in make_sounds() if not sound.any()] == ["silence"]


def test_a_seed_gives_the_same_sounds_and_another_one_others() -> None:
    first, again, other = (dict(make_sounds(seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["hiss"], other["hiss"])
    assert len(first) >= 10
