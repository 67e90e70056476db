"""Our decoding loop against transformers' ``generate``, on real speech and with every kind of weights that may sit in the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import DecodedWindow, DecodingTokens, decode, decoding_tokens
from medasr.whisper.features import log_mel
from medasr.whisper.model import load_model
from medasr.whisper.packing import pack
from tests.support.generation import generated
from tests.support.weights import KINDS, network
from tests.support.whisper import read_mono, sample, tiny_english

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from medasr.types import Waveform

pytestmark = pytest.mark.whisper

CPU = torch.device("cpu")


def windows() -> list[Waveform]:
    """Windows of very different lengths, so that they end one after the other."""
    spoken = [sample(name)[0] for name in ("dictation", "back-pain", "sore-throat")]
    rate = 16_000
    return [spoken[0][: 9 * rate], spoken[1][: 3 * rate], spoken[2][: 6 * rate], spoken[1][3 * rate : 9 * rate]]


def tokens_of(whisper: Any) -> DecodingTokens:
    return decoding_tokens(whisper.generation_config, "en", whisper.config.max_target_positions)


def assert_same(ours: Sequence[DecodedWindow], theirs: Sequence[DecodedWindow], within: float = 1e-3) -> None:
    assert [window.tokens for window in ours] == [window.tokens for window in theirs]
    for window, other in zip(ours, theirs, strict=True):
        assert window.log_probabilities == pytest.approx(other.log_probabilities, abs=within)
        assert window.end_log_probability == pytest.approx(other.end_log_probability, abs=within)


@pytest.mark.parametrize("seconds", [30.0, 15.0])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_weights_the_text_is_that_of_generate(kind: str, seconds: float, tmp_path: Path) -> None:
    whisper = network(kind, tmp_path)
    features, tokens = log_mel(windows(), 80, CPU, seconds), tokens_of(whisper)
    with torch.inference_mode():
        ours = decode(whisper, Sound(whisper, encode(whisper, features)), tokens)
        assert_same(ours, generated(whisper, features, tokens))
        pack(whisper)
        packed = decode(whisper, Sound(whisper, encode(whisper, features)), tokens)
        assert_same(packed, ours, within=5e-3)  # merged weights are rounded
    assert len({len(window.tokens) for window in ours}) > 1


def test_a_window_decodes_the_same_alone_and_in_any_batch() -> None:
    whisper = load_model(tiny_english()).network
    features, tokens = log_mel(windows(), 80, CPU, 30.0), tokens_of(whisper)
    with torch.inference_mode():
        alone = [
            decode(whisper, Sound(whisper, encode(whisper, features[place : place + 1])), tokens)[0]
            for place in range(len(features))
        ]
        assert_same(decode(whisper, Sound(whisper, encode(whisper, features)), tokens), alone)
        assert_same(decode(whisper, Sound(whisper, encode(whisper, features.flip(0))), tokens), alone[::-1])
        assert_same(
            decode(whisper, Sound(whisper, encode(whisper, features[[1, 3, 1, 0, 0]])), tokens),
            [alone[place] for place in (1, 3, 1, 0, 0)],
        )


@pytest.mark.realdata
def test_real_recordings_are_written_as_generate_writes_them(medical_speech: Path) -> None:
    whisper = load_model(tiny_english()).network
    recordings = sorted(medical_speech.rglob("*.flac"))[::20]
    features = log_mel([read_mono(path) for path in recordings], 80, CPU, 30.0)
    tokens = tokens_of(whisper)
    with torch.inference_mode():
        assert_same(
            decode(whisper, Sound(whisper, encode(whisper, features)), tokens), generated(whisper, features, tokens)
        )
