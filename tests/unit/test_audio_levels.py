"""How loud speech and noise are, and what the limiter does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.audio.levels import LIMIT_CEILING, LIMIT_KNEE, FrameLevels, Loudness, limit
from tests.support.recordings import noise, tone, voice


def loudness_of(*blocks: np.ndarray) -> Loudness:
    levels = FrameLevels()
    for block in blocks:
        levels.add(block)
    return levels.loudness()


def test_the_ratio_of_speech_to_noise_is_found() -> None:
    """A second of tone at -23 dBFS RMS, a second of noise at -53, in turns."""
    speech, pause = tone(level=10 ** (-20 / 20)), noise(level=10 ** (-53 / 20))
    loudness = loudness_of(np.concatenate([speech, pause] * 5))
    assert loudness.speech_dbfs == pytest.approx(-23, abs=0.5)
    assert loudness.noise_dbfs == pytest.approx(-53, abs=0.5)
    assert loudness.snr_db == pytest.approx(30, abs=1)


def test_a_long_silent_tail_does_not_change_the_level_of_the_speech() -> None:
    speech = voice(10.0)
    tail = noise(600.0, level=1e-4)
    alone, followed = loudness_of(speech), loudness_of(speech, tail)
    assert followed.speech_dbfs == pytest.approx(alone.speech_dbfs, abs=1.0)


def test_steady_noise_has_no_ratio() -> None:
    assert loudness_of(noise(5.0)).snr_db is None


def test_digital_silence_has_no_level() -> None:
    assert loudness_of(np.zeros(16_000, dtype=np.float32)) == Loudness(speech_dbfs=None, noise_dbfs=None, snr_db=None)


def test_a_recording_shorter_than_a_frame_has_a_level() -> None:
    assert loudness_of(tone(0.02)).speech_dbfs == pytest.approx(-15, abs=0.5)


@given(st.lists(st.integers(1, 15_999), max_size=6))
def test_levels_do_not_depend_on_how_the_recording_is_cut_into_blocks(borders: list[int]) -> None:
    samples = voice(1.0)
    assert loudness_of(*np.split(samples, sorted(borders))) == loudness_of(samples)


@pytest.mark.parametrize(
    ("speech", "noise_floor", "gain"),
    [
        (-43.0, -90.0, 20.0),  # up to the target
        (-10.0, -60.0, -13.0),  # down to the target
        (-63.0, -95.0, 30.0),  # never more than 30 dB
        (-43.0, -60.0, 10.0),  # never noise above -50 dBFS
        (-30.0, -40.0, 0.0),  # noisy enough already
    ],
)
def test_gain_goes_to_the_target_within_its_bounds(speech: float, noise_floor: float, gain: float) -> None:
    assert Loudness(speech_dbfs=speech, noise_dbfs=noise_floor, snr_db=speech - noise_floor).gain_db == gain


def test_what_is_below_the_knee_is_left_bit_for_bit() -> None:
    quiet = noise(level=0.1)
    quiet = quiet[np.abs(quiet) <= LIMIT_KNEE]
    loud = np.append(quiet, np.float32(3.0))
    np.testing.assert_array_equal(limit(loud)[:-1], quiet)


def test_the_limiter_is_odd_monotonic_and_bounded() -> None:
    ramp = np.linspace(-1e6, 1e6, 100_001, dtype=np.float32)
    limited = limit(ramp)
    assert limited.dtype == np.float32
    assert np.abs(limited).max() == pytest.approx(LIMIT_CEILING)
    assert (np.diff(limited) >= 0).all()
    np.testing.assert_array_equal(limited, -limited[::-1])
