"""Whole texts given to the decoder: the computation of transformers, whatever sits in the layers."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from medasr.training.low_rank import spare_passes
from medasr.whisper.context import encode
from medasr.whisper.features import log_mel
from medasr.whisper.forcing import read_texts
from medasr.whisper.model import LoadedModel, load_model
from tests.support.whisper import sample, tiny_english

TEXTS = torch.tensor([[50257, 50363, 314, 423, 257, 2356, 13], [50257, 50363, 632, 20805, 13, 50256, 50256]])


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(tiny_english())


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    waveform, _ = sample("dictation")
    return log_mel([waveform[: 4 * 16000], waveform[16000 : 6 * 16000]], 80, torch.device("cpu"), 10.0)


def test_states_and_gradients_are_those_of_transformers(model: LoadedModel, features: torch.Tensor) -> None:
    gradients = []
    for ours in (True, False):
        encoded = encode(model.network, features).detach().requires_grad_()
        if ours:
            states = read_texts(model.network, TEXTS, encoded)
        else:
            decoder = model.network.model.decoder
            states = decoder(input_ids=TEXTS, encoder_hidden_states=encoded, use_cache=False).last_hidden_state
        states.square().sum().backward()
        assert encoded.grad is not None
        gradients.append((states.detach(), encoded.grad))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["nf4", "bf16", "fp32"])
def test_an_adapter_learns_what_it_learns_in_transformers(precision: str, features: torch.Tensor) -> None:
    loaded = load_model(replace(tiny_english(), precision=precision))
    learned = []
    for ours in (True, False):
        torch.manual_seed(0)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights="gaussian")
        adapted = get_peft_model(copy.deepcopy(loaded.network), config)
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if ours:
            spare_passes(adapted)
        network, given = adapted.get_base_model(), TEXTS[:, :-1]
        with torch.autocast("cpu", torch.bfloat16, enabled=loaded.compute_type is torch.bfloat16):
            encoded = encode(network, features.to(loaded.compute_type))
            decoder = network.model.decoder
            states = (
                read_texts(network, given, encoded)
                if ours
                else decoder(input_ids=given, encoder_hidden_states=encoded, use_cache=False).last_hidden_state
            )
            logits = network.proj_out(states).float()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), TEXTS[:, 1:].flatten()).backward()
        gradients = [
            one.grad.flatten() for name, one in adapted.named_parameters() if "lora_B" in name and one.grad is not None
        ]
        learned.append(torch.cat(gradients))
    assert float(learned[1].norm()) > 0
    assert float((learned[0] - learned[1]).norm() / learned[1].norm()) < (1e-3 if precision == "fp32" else 0.1)
