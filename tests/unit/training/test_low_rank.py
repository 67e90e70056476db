"""LoRA layers with fewer passes over memory, held against PEFT's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from medasr.training.low_rank import spare_passes


def adapted(dropout: float = 0.0) -> Any:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.GELU(), torch.nn.Linear(20, 6, bias=False))
    model = get_peft_model(network, LoraConfig(r=4, lora_alpha=8, target_modules=["0", "2"], lora_dropout=dropout))  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # they begin at zero, where an adapter adds nothing
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_outputs_and_gradients_are_pefts() -> None:
    theirs = adapted()
    ours = copy.deepcopy(theirs)
    spare_passes(ours)
    states = [torch.randn(2, 3, 12, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]

    products = [model(given) for model, given in zip((theirs, ours), states, strict=True)]
    for product in products:
        product.square().sum().backward()

    torch.testing.assert_close(products[1], products[0])
    torch.testing.assert_close(states[1].grad, states[0].grad)
    for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(other.grad, one.grad)
        else:
            assert other.grad is None


def test_who_only_looks_on_sees_what_was_learned_last() -> None:
    model = adapted()
    spare_passes(model)
    states = torch.randn(5, 12)
    for _ in range(2):
        with torch.no_grad():
            merged = model(states)
        torch.testing.assert_close(merged, model(states).detach())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.5)


def test_the_base_is_what_it_was_when_the_adapter_is_taken_off() -> None:
    model = adapted()
    before = {name: one.clone() for name, one in model.state_dict().items() if "lora" not in name}
    spare_passes(model)
    with torch.no_grad():
        model(torch.randn(5, 12))

    network = model.unload()

    assert isinstance(network[0], torch.nn.Linear)
    for (name, weight), kept in zip(network.state_dict().items(), before.values(), strict=True):
        assert torch.equal(weight, kept), name


def test_layers_with_dropout_stay_pefts() -> None:
    model = adapted(dropout=0.5).train()
    spare_passes(model)
    states = torch.randn(64, 12)
    torch.manual_seed(1)
    first = model(states)
    torch.manual_seed(2)
    assert not torch.equal(first, model(states))


@pytest.mark.parametrize("type_", [torch.bfloat16, torch.float32])
def test_gradients_of_the_adapter_are_fp32(type_: torch.dtype) -> None:
    model = adapted().to(type_)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    spare_passes(model)
    model(torch.randn(5, 12).to(type_)).float().sum().backward()
    gradients = [one.grad for one in model.parameters() if one.requires_grad]
    assert all(one is not None and one.dtype == torch.float32 for one in gradients)


def test_states_in_fp32_are_brought_to_the_type_of_the_weights() -> None:
    """As autocast leaves them behind a layer norm on a GPU."""
    model = adapted().to(torch.bfloat16)
    spare_passes(model)
    states = torch.randn(5, 12, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        product = model(states)
        with torch.no_grad():
            assert model(states).dtype == torch.bfloat16
    product.float().sum().backward()
    assert product.dtype == torch.bfloat16
    assert states.grad is not None
    assert states.grad.dtype == torch.float32
