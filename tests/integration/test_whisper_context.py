"""Windows shorter than 30 s: the same computation as transformers' with fewer positions, whatever sits in the layers."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from medasr.errors import ModelError
from medasr.whisper.context import context_seconds, encode
from medasr.whisper.features import log_mel
from medasr.whisper.manifest import MANIFEST_FILE, AdapterManifest, write_manifest
from medasr.whisper.model import LoadedModel, load_model
from medasr.whisper.transcriber import WhisperTranscriber, load_transcriber
from tests.support.whisper import sample, tiny_english

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(tiny_english())


def shortened(network: Any, positions: int) -> Any:
    """A copy that transformers itself runs with fewer positions."""
    cut = copy.deepcopy(network)
    cut.config.max_source_positions = positions
    encoder = cut.model.encoder
    encoder.config.max_source_positions = positions
    kept = encoder.embed_positions.weight[:positions].clone()
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(kept)
    return cut


def features(seconds: float) -> torch.Tensor:
    waveform, _ = sample("dictation")
    return log_mel([waveform[: 4 * 16000], waveform[16000 : 6 * 16000]], 80, CPU, seconds)


class TestEncoding:
    def test_a_full_window_is_encoded_as_transformers_does(self, model: LoadedModel) -> None:
        full = features(30.0)
        assert torch.equal(encode(model.network, full), model.network.model.encoder(full).last_hidden_state)

    @pytest.mark.parametrize("seconds", [6.0, 10.0, 21.5])
    def test_a_shorter_one_is_the_same_with_fewer_positions(self, model: LoadedModel, seconds: float) -> None:
        window = features(seconds)
        theirs = shortened(model.network, round(50 * seconds)).model.encoder(window).last_hidden_state
        ours = encode(model.network, window)
        assert ours.shape == (2, round(50 * seconds), model.network.config.d_model)
        assert torch.allclose(ours, theirs, atol=1e-6)

    def test_layers_with_lora_and_4_bit_weights_are_used(self) -> None:
        model = load_model(replace(tiny_english(), precision="nf4"))
        window = features(10.0).to(model.compute_type)
        with torch.no_grad():
            stock = encode(model.network, window)
            adapted = get_peft_model(
                model.network, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
            )
            changed = encode(adapted.get_base_model(), window)
        assert torch.isfinite(changed).all()
        assert not torch.allclose(stock, changed)

    def test_a_loss_over_a_short_window_reaches_the_adapter(self, model: LoadedModel) -> None:
        network = copy.deepcopy(model.network)
        adapted = get_peft_model(network, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
        labels = torch.tensor([[50257, 50362, 464, 886], [50257, 50362, 464, 886]])
        hidden = encode(adapted.get_base_model(), features(10.0))
        loss = adapted.get_base_model()(encoder_outputs=(hidden,), labels=labels).loss
        loss.backward()
        gradients = [p.grad for name, p in adapted.named_parameters() if p.requires_grad and "encoder" in name]
        assert gradients
        assert all(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)

    @pytest.mark.parametrize("frames", [999, 3002])
    def test_other_lengths_are_refused(self, model: LoadedModel, frames: int) -> None:
        with pytest.raises(ValueError, match=f"{frames} frames"):
            encode(model.network, torch.zeros(1, 80, frames))


class TestLengths:
    @pytest.mark.parametrize(
        ("longest", "floor", "computed"),
        [
            (2.0, 10.0, 10.0),
            (8.9, 10.0, 10.0),
            (9.5, 10.0, 15.0),
            (28.0, 10.0, 30.0),
            (30.0, 10.0, 30.0),
            (3.0, 30.0, 30.0),
        ],
    )
    def test_windows_leave_room_for_a_tail(self, longest: float, floor: float, computed: float) -> None:
        assert context_seconds(longest, floor) == computed


class TestAdapters:
    @pytest.fixture
    def adapter(self, tmp_path: Path, model: LoadedModel) -> Path:
        """One that changes nothing."""
        adapted = get_peft_model(copy.deepcopy(model.network), LoraConfig(r=4, target_modules="all-linear"))
        adapted.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    def test_one_without_manifest_gets_full_windows(self, adapter: Path) -> None:
        assert load_transcriber(replace(tiny_english(), adapter=adapter)).version.audio_context == "full"

    def test_one_that_declares_short_windows_gets_them(self, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        base = tiny_english()
        manifest = AdapterManifest(
            base_id=base.base_id, base_revision="1", base_sha256=base.base_sha256, shortest_context=10.0
        )
        write_manifest(adapter, manifest)
        loaded = load_model(replace(tiny_english(), adapter=adapter))
        assert loaded.version.audio_context == "variable"
        seen: list[int] = []
        conv = loaded.network.model.encoder.conv1.forward
        monkeypatch.setattr(
            loaded.network.model.encoder.conv1, "forward", lambda x: (seen.append(x.shape[-1]), conv(x))[1]
        )
        waveform, _ = sample("dictation")
        WhisperTranscriber(loaded, "en", beams=3).transcribe([waveform[: 4 * 16000], waveform[: 12 * 16000]])
        WhisperTranscriber(loaded, "en", beams=3).transcribe([waveform[: 4 * 16000]])
        assert seen == [1500, 1000]

    @pytest.mark.parametrize("manifest", ["{", "{}", '{"shortest_context": 0}', '{"shortest_context": "x"}'])
    def test_a_broken_manifest_is_refused(self, adapter: Path, manifest: str) -> None:
        (adapter / MANIFEST_FILE).write_text(manifest)
        with pytest.raises(ModelError, match="restore the adapter"):
            load_model(replace(tiny_english(), adapter=adapter))
