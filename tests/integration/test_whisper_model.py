"""Loading Whisper: precision, device, adapters, and everything that is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import WhisperForConditionalGeneration

from medasr.errors import ModelError
from medasr.whisper.adapter import CONFIG_FILE, WEIGHTS_FILE, apply_adapter
from medasr.whisper.model import choose_device, choose_precision, cpu_has_bfloat16, load_model
from tests.support.whisper import tiny_english

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def base_network() -> Any:
    return WhisperForConditionalGeneration.from_pretrained(
        tiny_english().path, local_files_only=True, dtype=torch.float32
    )


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter with random weights, saved by PEFT as training saves it."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    # SEQ_2_SEQ_LM is what many published adapters say; PEFT's wrapper for it cannot run Whisper.
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="SEQ_2_SEQ_LM")
    adapted = get_peft_model(base_network(), config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture
def own_adapter(adapter: Path, tmp_path: Path) -> Path:
    """A copy of the adapter, to be damaged."""
    return shutil.copytree(adapter, tmp_path / "adapter")


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return shutil.copytree(tiny_english().path, tmp_path / "model")


def logits(network: Any) -> torch.Tensor:
    features = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(1)).to(network.dtype)
    with torch.inference_mode():
        return network(input_features=features, decoder_input_ids=torch.tensor([[50257, 50362]])).logits.float()


def test_auto_is_four_bits_on_cuda_and_what_the_cores_multiply_on_a_cpu() -> None:
    assert choose_precision("auto", CUDA) == "nf4"
    assert choose_precision("auto", CPU) == ("bf16" if cpu_has_bfloat16() else "fp32")


def test_a_precision_asked_for_is_used() -> None:
    assert choose_precision("fp16", CUDA) == "fp16"
    assert choose_precision("nf4", CPU) == "nf4"


def test_fp16_on_a_cpu_is_refused_with_the_remedy() -> None:
    with pytest.raises(ModelError, match=r"model\.precision is fp16.*auto or fp32"):
        choose_precision("fp16", CPU)


def test_a_cuda_device_that_is_not_there_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(ModelError, match=r"model\.device is cuda.*nvidia-smi"):
        choose_device("cuda")


@pytest.mark.whisper
def test_a_stock_model_says_what_it_is() -> None:
    options = tiny_english()
    model = load_model(options)
    assert (model.version.base_id, model.version.precision) == ("whisper-tiny.en", "fp32")
    assert model.version.base_sha256 == options.base_sha256
    assert model.version.adapter_sha256 is None
    assert model.version.audio_context == "full"
    assert (model.device, model.compute_type) == (CPU, torch.float32)
    assert torch.get_num_threads() == 1
    assert not model.network.training


@pytest.mark.whisper
def test_an_adapter_is_merged_into_full_precision_weights(adapter: Path) -> None:
    model = load_model(dataclasses.replace(tiny_english(), adapter=adapter))
    expected = base_network()
    stock = logits(expected)
    config = json.loads((adapter / CONFIG_FILE).read_text())
    for name, factor in load_file(adapter / WEIGHTS_FILE).items():
        if name.endswith("lora_A.weight"):
            target = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            other = load_file(adapter / WEIGHTS_FILE)[name.replace("lora_A", "lora_B")]
            weight = expected.get_submodule(target).weight
            weight.data += other @ factor * (config["lora_alpha"] / config["r"])
    assert torch.allclose(logits(model.network), logits(expected), atol=1e-3)
    assert not torch.allclose(logits(model.network), stock, atol=1e-1)
    assert not any("lora" in name for name, _ in model.network.named_parameters())
    content = (adapter / WEIGHTS_FILE).read_bytes()
    assert model.version.adapter_sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.whisper
def test_four_bit_weights_work_on_a_cpu_with_and_without_an_adapter(adapter: Path) -> None:
    four_bit = dataclasses.replace(tiny_english(), precision="nf4")
    stock, adapted = load_model(four_bit), load_model(dataclasses.replace(four_bit, adapter=adapter))
    assert stock.version.precision == adapted.version.precision == "nf4"
    assert stock.network.model.decoder.layers[0].fc1.weight.dtype == torch.uint8
    assert stock.network.proj_out.weight.dtype.is_floating_point
    assert any("lora" in name for name, _ in adapted.network.named_parameters())
    full = logits(base_network())
    similarity = torch.nn.functional.cosine_similarity(logits(stock.network).flatten(), full.flatten(), dim=0)
    assert similarity > 0.98
    assert not torch.allclose(logits(stock.network), logits(adapted.network), atol=1e-2)


def damaged(change: Callable[[dict[str, torch.Tensor]], None], path: Path) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def remove_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[sorted(tensors)[3]]


def widen_one(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)] = torch.zeros(4, 385)


def poison_one(tensors: dict[str, torch.Tensor]) -> None:
    tensors[min(tensors)][0, 0] = math.nan


@pytest.mark.whisper
@pytest.mark.parametrize(
    ("change", "complaint"),
    [(remove_one, "does not fit"), (widen_one, "385.*the model takes"), (poison_one, "not finite")],
)
def test_an_adapter_that_does_not_fit_is_refused(own_adapter: Path, change: Any, complaint: str) -> None:
    damaged(change, own_adapter / WEIGHTS_FILE)
    with pytest.raises(ModelError, match=complaint):
        apply_adapter(base_network(), own_adapter, merge=True)


@pytest.mark.whisper
def test_an_adapter_for_other_layers_is_refused(own_adapter: Path) -> None:
    config = json.loads((own_adapter / CONFIG_FILE).read_text())
    (own_adapter / CONFIG_FILE).write_text(json.dumps({**config, "target_modules": ["query_key_value"]}))
    with pytest.raises(ModelError, match="belongs to another base model"):
        apply_adapter(base_network(), own_adapter, merge=True)


@pytest.mark.whisper
def test_an_adapter_with_pickled_weights_is_refused_unread(own_adapter: Path) -> None:
    (own_adapter / "adapter_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(ModelError, match=r"adapter_model\.bin.*safetensors"):
        apply_adapter(None, own_adapter, merge=True)


@pytest.mark.whisper
@pytest.mark.parametrize("missing", [WEIGHTS_FILE, CONFIG_FILE])
def test_an_incomplete_adapter_is_refused_without_asking_the_hub(own_adapter: Path, missing: str) -> None:
    (own_adapter / missing).unlink()
    with pytest.raises(ModelError, match=rf"holds no {missing}; correct model\.adapter"):
        apply_adapter(None, own_adapter, merge=True)


@pytest.mark.whisper
def test_an_adapter_that_is_not_lora_is_refused(own_adapter: Path) -> None:
    (own_adapter / CONFIG_FILE).write_text(json.dumps({"peft_type": "PREFIX_TUNING"}))
    with pytest.raises(ModelError, match="not the configuration of a LoRA adapter"):
        apply_adapter(None, own_adapter, merge=True)


@pytest.mark.whisper
def test_weights_that_are_not_finite_are_refused(own_model: Path) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.encoder.layer_norm.weight"][0] = math.inf

    damaged(poison, own_model / "model.safetensors")
    with pytest.raises(ModelError, match=r"encoder\.layer_norm\.weight is not finite"):
        load_model(dataclasses.replace(tiny_english(), path=own_model))


@pytest.mark.whisper
def test_a_folder_with_pickled_weights_is_refused(own_model: Path) -> None:
    (own_model / "pytorch_model.bin").write_bytes(b"not even a pickle")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin can run code"):
        load_model(dataclasses.replace(tiny_english(), path=own_model))


@pytest.mark.whisper
def test_a_damaged_tokenizer_is_refused(own_model: Path) -> None:
    (own_model / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(dataclasses.replace(tiny_english(), path=own_model))


def test_nobody_is_advised_to_install_what_asks_a_hub() -> None:
    program = "import medasr.whisper.model, peft, bitsandbytes"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "kernels" not in done.stderr
