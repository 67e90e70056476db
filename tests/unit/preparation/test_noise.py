"""The SNR tells speech from noise, not loud from quiet, and does so in recordings that hardly pause."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.audio.levels import FrameLevels
from medasr.preparation.noise import measure_levels
from tests.support.recordings import Samples, noise, voice


def speech_with_pause(*, pause: float, snr_db: float, seconds: float = 3.0) -> Samples:
    """Sound of an even level with one pause in its middle, over noise so many dB below."""
    background = noise(seconds, level=0.1 * 10 ** (-snr_db / 20), seed=1)
    speech = noise(seconds, level=0.1, seed=2)
    middle, half = len(speech) // 2, round(pause * 8000)
    speech[middle - half : middle + half] = 0
    return speech + background


@pytest.mark.parametrize("snr_db", [8, 15, 30, 45])
def test_a_known_ratio_is_found(snr_db: float) -> None:
    found = measure_levels(speech_with_pause(pause=0.5, snr_db=snr_db)).snr_db
    assert found == pytest.approx(snr_db, abs=1.5)


def test_a_pause_of_a_seventh_of_a_second_is_enough() -> None:
    waveform = speech_with_pause(pause=0.15, snr_db=25)
    assert measure_levels(waveform).snr_db == pytest.approx(25, abs=1.5)
    levels = FrameLevels()
    levels.add(waveform)
    found = levels.loudness().snr_db  # the estimate for consultations is lost here
    assert found is None or found < 10


@given(gain_db=st.floats(-30, 20))
def test_loudness_does_not_count(gain_db: float) -> None:
    waveform = voice(noise_level=3e-3)
    louder = (waveform * 10 ** (gain_db / 20)).astype(np.float32)
    expected = measure_levels(waveform)
    found = measure_levels(louder)
    assert found.snr_db == pytest.approx(expected.snr_db, abs=0.05)
    assert measure_levels(louder, gain_db).speech_dbfs == pytest.approx(expected.speech_dbfs, abs=0.05)


def test_more_noise_is_a_lower_ratio() -> None:
    ratios = [measure_levels(voice(noise_level=level)).snr_db or 0.0 for level in (1e-4, 1e-3, 1e-2)]
    assert ratios == sorted(ratios, reverse=True)


def test_noise_alone_and_silence_have_no_ratio() -> None:
    assert measure_levels(noise(2.0)).snr_db is None
    silence = measure_levels(np.zeros(16000, dtype=np.float32))
    assert (silence.speech_dbfs, silence.noise_dbfs, silence.snr_db) == (None, None, None)
    assert measure_levels(np.zeros(0, dtype=np.float32)).snr_db is None
    assert measure_levels(noise(0.01)).snr_db is None
