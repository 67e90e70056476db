"""Our decoding loop against transformers' ``generate``, on a network with random weights: every rule is put to work, none is lenient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from medasr.errors import ModelError
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound, runs_of
from medasr.whisper.decoding import decode, decoding_tokens
from tests.support.generation import generated

TEXT_TOKENS = 40
END, START, ENGLISH, TRANSCRIBE, NO_SPEECH, NO_TIMESTAMPS = range(TEXT_TOKENS, TEXT_TOKENS + 6)
VOCABULARY = NO_TIMESTAMPS + 1 + 1501
POSITIONS = 64


def network(seed: int, *, multilingual: bool = True) -> Any:
    torch.manual_seed(seed)
    config = WhisperConfig(
        vocab_size=VOCABULARY,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_target_positions=POSITIONS,
        num_mel_bins=80,
        init_std=0.35,
        pad_token_id=END,
        bos_token_id=END,
        eos_token_id=END,
        decoder_start_token_id=START,
    )
    whisper = WhisperForConditionalGeneration(config).eval()
    whisper.generation_config = GenerationConfig(
        decoder_start_token_id=START,
        eos_token_id=END,
        pad_token_id=END,
        bos_token_id=END,
        suppress_tokens=[3, 5, START, ENGLISH, TRANSCRIBE, NO_SPEECH],
        begin_suppress_tokens=[7, END],
        max_length=POSITIONS,
    )
    extra = {
        "no_timestamps_token_id": NO_TIMESTAMPS,
        "is_multilingual": multilingual,
        "lang_to_id": {"<|en|>": ENGLISH},
        "task_to_id": {"transcribe": TRANSCRIBE},
        "max_initial_timestamp_index": 50,
    }
    for name, value in extra.items():
        setattr(whisper.generation_config, name, value)
    return whisper


def spectrograms(batch: int) -> torch.Tensor:
    return torch.randn(batch, 80, 3000, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("timestamps", [True, False], ids=["timestamps", "plain"])
@pytest.mark.parametrize("multilingual", [True, False], ids=["multilingual", "english"])
@pytest.mark.parametrize("seed", range(2))
def test_tokens_are_those_of_generate(seed: int, multilingual: bool, timestamps: bool) -> None:
    whisper, features = network(seed, multilingual=multilingual), spectrograms(3)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        ours = decode(whisper, Sound(whisper, encode(whisper, features)), tokens, timestamps=timestamps)
        theirs = generated(whisper, features, tokens, timestamps=timestamps)
    assert [window.tokens for window in ours] == [window.tokens for window in theirs]
    for window, other in zip(ours, theirs, strict=True):
        assert window.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-3)


def test_log_probabilities_are_finite_and_belong_to_the_tokens() -> None:
    whisper = network(0)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        for window in decode(whisper, Sound(whisper, encode(whisper, spectrograms(2))), tokens):
            assert len(window.tokens) == len(window.log_probabilities) <= tokens.limit
            assert all(-100 < value <= 0 for value in window.log_probabilities)
            assert 0 <= window.no_speech_probability <= 1
            assert window.truncated == (len(window.tokens) == tokens.limit)


def test_a_window_decodes_the_same_alone_and_in_a_batch() -> None:
    whisper, features = network(1), spectrograms(5)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        together = decode(whisper, Sound(whisper, encode(whisper, features)), tokens)
        alone = [
            decode(whisper, Sound(whisper, encode(whisper, features[index : index + 1])), tokens)[0]
            for index in range(5)
        ]
    assert [window.tokens for window in together] == [window.tokens for window in alone]


def test_a_language_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match=r"language xx; correct model\.language"):
        decoding_tokens(network(0).generation_config, "xx", POSITIONS)
    with pytest.raises(ModelError, match="English only"):
        decoding_tokens(network(0, multilingual=False).generation_config, "de", POSITIONS)


def test_a_generation_config_that_is_not_whispers_is_refused() -> None:
    with pytest.raises(ModelError, match=r"generation_config\.json"):
        decoding_tokens(GenerationConfig(), "en", POSITIONS)


def test_of_the_windows_that_were_heard_some_may_be_written_in_any_order() -> None:
    whisper, features = network(1), spectrograms(5)
    tokens = decoding_tokens(whisper.generation_config, "en", POSITIONS)
    with torch.inference_mode():
        sound = Sound(whisper, encode(whisper, features))
        every = decode(whisper, sound, tokens)
        some = decode(whisper, sound.only([4, 1, 2]).only([0, 2, 1]), tokens)
    assert [window.tokens for window in some] == [every[place].tokens for place in (4, 2, 1)]


def test_rows_of_windows_side_by_side_with_as_many_texts_are_computed_together() -> None:
    assert runs_of([1, 2, 4, 0], [1, 1, 1, 1]) == [
        (slice(0, 2), slice(1, 3)),
        (slice(2, 3), slice(4, 5)),
        (slice(3, 4), slice(0, 1)),
    ]
    assert runs_of([0, 1, 2, 3], [1, 3, 3, 2]) == [
        (slice(0, 1), slice(0, 1)),
        (slice(1, 7), slice(1, 3)),
        (slice(7, 9), slice(3, 4)),
    ]
