"""Linear layers whose weights stand in the order in which a CPU multiplies them."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLayer

from medasr.whisper.model import cpu_has_bfloat16
from medasr.whisper.packing import PackedLinear, pack

KINDS = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU emulates bf16, a hundred times slower"),
    ),
]


class OwnLinear(torch.nn.Linear):
    """Has its own way with its weights, as quantized layers have."""


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), OwnLinear(64, 32))
        self.embedding = torch.nn.Embedding(101, 32)
        self.projection = torch.nn.Linear(32, 101, bias=False)
        self.projection.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        written: torch.Tensor = self.projection(self.layers(self.embedding(tokens)))
        return written


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (8, 1, 48), (2, 700, 48)])
@torch.no_grad()
def test_a_packed_layer_computes_what_the_layer_computes(kind: torch.dtype, bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 130, bias=bias).to(kind)
    states = torch.randn(shape).to(kind)

    packed = PackedLinear(linear)

    assert packed.nbytes == sum(parameter.nbytes for parameter in linear.parameters())
    torch.testing.assert_close(packed(states), linear(states))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_packed_network_writes_the_same(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    network, tokens = Network().to(kind), torch.arange(12).view(3, 4)
    before = network(tokens)

    pack(network)

    torch.testing.assert_close(network(tokens), before)
    assert [type(one) for one in network.layers] == [PackedLinear, torch.nn.GELU, OwnLinear]
    assert type(network.projection) is PackedLinear


@torch.no_grad()
def test_what_lora_layers_are_made_of_stays_as_it_is() -> None:
    network = torch.nn.ModuleDict(
        {"wrapped": LoraLayer(Network().projection, "default", LoraConfig(r=2), r=2), "plain": Network().projection}
    )
    pack(network)
    assert type(network["plain"]) is PackedLinear
    assert not any(isinstance(module, PackedLinear) for module in network["wrapped"].modules())


@torch.no_grad()
def test_what_the_processor_has_no_product_for_stays_as_it_is() -> None:
    network = Network().double()
    pack(network)
    assert not any(isinstance(module, PackedLinear) for module in network.modules())
