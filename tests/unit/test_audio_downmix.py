"""Many channels → one, decided from streamed statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.audio.downmix import ChannelStatistics, Downmix
from tests.support.recordings import noise, voice


def downmix_of(*blocks: np.ndarray) -> Downmix:
    statistics = ChannelStatistics(blocks[0].shape[1], full_scale=0.999)
    for block in blocks:
        statistics.add(block)
    return statistics.downmix()


def channels(*samples: np.ndarray) -> np.ndarray:
    return np.stack(samples, axis=1).astype(np.float32)


def test_live_channels_are_averaged() -> None:
    downmix = downmix_of(channels(voice(), 0.3 * voice(), noise(2.0)))
    np.testing.assert_allclose(downmix.weights, 1 / 3)
    assert downmix.warnings == ()


def test_of_inverted_channels_the_loudest_is_taken() -> None:
    downmix = downmix_of(channels(0.5 * voice(), -voice(), 0.2 * voice()))
    np.testing.assert_array_equal(downmix.weights, [0, 1, 0])
    assert downmix.warnings == ("PHASE_INVERTED",)


def test_inversion_is_found_through_each_channels_own_noise() -> None:
    left = voice(noise_level=0.02, seed=1)
    right = -voice(noise_level=0.02, seed=2)
    assert downmix_of(channels(left, right)).warnings == ("PHASE_INVERTED",)


def test_a_dead_channel_cannot_be_inverted() -> None:
    hum = -1e-4 * voice()
    downmix = downmix_of(channels(voice(), hum, voice()))
    np.testing.assert_array_equal(downmix.weights, [0.5, 0, 0.5])
    assert downmix.warnings == ("DEAD_CHANNEL",)


def test_a_constant_offset_does_not_make_a_channel_live_or_loud() -> None:
    downmix = downmix_of(channels(voice(), np.full(32_000, 0.5)))
    np.testing.assert_array_equal(downmix.weights, [1, 0])
    assert downmix.dc_offset == pytest.approx(0.0, abs=1e-3)


def test_silence_on_every_channel_is_averaged_without_complaint() -> None:
    downmix = downmix_of(np.zeros((1_000, 4), dtype=np.float32))
    np.testing.assert_array_equal(downmix.weights, 0.25)
    assert (downmix.rms_dbfs, downmix.peak, downmix.warnings) == (-120.0, 0.0, ())


def test_the_level_of_the_mix_is_that_of_the_mixed_samples() -> None:
    block = channels(voice(seed=1), 0.5 * noise(2.0) + 0.1)
    downmix = downmix_of(block)
    mixed = block @ downmix.weights
    assert downmix.dc_offset == pytest.approx(mixed.mean())
    assert downmix.rms_dbfs == pytest.approx(20 * np.log10(mixed.std()))


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.lists(st.integers(1, 39), max_size=5))
def test_clipped_runs_are_counted_wherever_blocks_begin_and_end(at_full_scale: list[bool], borders: list[int]) -> None:
    samples = np.where(at_full_scale, 1.0, 0.1).astype(np.float32)[:, None]
    runs = "".join("x" if loud else " " for loud in at_full_scale).split()
    expected = sum(len(run) for run in runs if len(run) >= 3)
    assert downmix_of(*np.split(samples, sorted(borders))).clipped_share == pytest.approx(expected / len(samples))


def test_one_bad_number_is_noticed() -> None:
    statistics = ChannelStatistics(2, full_scale=1.0)
    statistics.add(np.full((10, 2), np.finfo(np.float32).max, dtype=np.float32))
    assert statistics.finite
    statistics.add(np.array([[0.0, np.nan]], dtype=np.float32))
    assert not statistics.finite
