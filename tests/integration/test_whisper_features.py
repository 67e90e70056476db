"""Log-mel spectrograms against transformers' feature extractor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from medasr.types import SAMPLE_RATE
from medasr.whisper.features import log_mel
from tests.support.speech import NON_SPEECH

CPU = torch.device("cpu")


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_spectrograms_are_those_of_transformers(mel_bins: int) -> None:
    windows = [maker()[: 5 * SAMPLE_RATE] for maker in NON_SPEECH.values()]
    windows.append(np.random.default_rng(0).uniform(-1, 1, 30 * SAMPLE_RATE).astype(np.float32))
    theirs = WhisperFeatureExtractor(feature_size=mel_bins)(windows, sampling_rate=SAMPLE_RATE, return_tensors="np")
    ours = log_mel(windows, mel_bins, CPU)
    assert ours.shape == (len(windows), mel_bins, 3000)
    assert np.abs(ours.numpy() - theirs["input_features"]).max() < 1e-4


def test_a_window_looks_the_same_alone_and_in_a_batch() -> None:
    windows = [maker() for maker in NON_SPEECH.values()]
    together = log_mel(windows, 80, CPU)
    for window, row in zip(windows, together, strict=True):
        assert torch.allclose(log_mel([window], 80, CPU)[0], row, atol=1e-5)


def test_an_empty_window_is_silence() -> None:
    assert torch.allclose(log_mel([np.zeros(0, np.float32)], 80, CPU), log_mel([np.zeros(9, np.float32)], 80, CPU))


def test_a_window_longer_than_thirty_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 30 s"):
        log_mel([np.zeros(30 * SAMPLE_RATE + 1, np.float32)], 80, CPU)
