"""Linear layers whose weights stand in the order in which a CPU multiplies them."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLayer

from medasr.whisper.model import cpu_has_bfloat16
from medasr.whisper.packing import HalfLinear, PackedLinear, pack

KINDS = [
    torch.float32,
    pytest.param(
        torch.bfloat16,
        marks=pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU emulates bf16, a hundred times slower"),
    ),
]

HAS_FBGEMM = "fbgemm" in torch.backends.quantized.supported_engines
needs_fbgemm = pytest.mark.skipif(not HAS_FBGEMM, reason="this CPU has no FBGEMM")


def packed_as(kind: torch.dtype) -> type[torch.nn.Module]:
    return HalfLinear if kind == torch.float32 and HAS_FBGEMM else PackedLinear


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


@needs_fbgemm
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 48), (8, 1, 48), (2, 700, 48)])
@torch.no_grad()
def test_f16_weights_as_whispers_were_published_lose_nothing(bias: bool, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(48, 130, bias=bias)
    linear.weight.copy_(linear.weight.half())
    states = torch.randn(shape)

    half = HalfLinear(linear)

    assert half.nbytes == 130 * 48 * 2 + 130 * 4 * bias
    torch.testing.assert_close(half(states), linear(states))


@needs_fbgemm
@torch.no_grad()
def test_other_weights_are_rounded_to_f16_and_a_row_is_nearly_the_same_in_any_company() -> None:
    torch.manual_seed(0)
    linear, states = torch.nn.Linear(512, 300), torch.randn(24, 512)
    half = HalfLinear(linear)
    exact = linear(states)
    assert 0 < float((half(states) - exact).norm() / exact.norm()) < 2**-11
    torch.testing.assert_close(half(states)[7:8], half(states[7:8]), atol=1e-5, rtol=1e-5)


@needs_fbgemm
@torch.no_grad()
def test_weights_that_f16_has_no_number_for_are_not_rounded() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    network[0].weight[0, 0] = 1e5
    pack(network)
    assert type(network[0]) is PackedLinear


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_packed_network_writes_the_same(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    network, tokens = Network().to(kind), torch.arange(12).view(3, 4)
    for parameter in network.parameters():
        parameter.copy_(parameter.half())
    before = network(tokens)

    pack(network)

    torch.testing.assert_close(network(tokens), before)
    packed = packed_as(kind)
    assert [type(one) for one in network.layers] == [packed, torch.nn.GELU, OwnLinear]
    assert type(network.projection) is packed


@torch.no_grad()
def test_what_lora_layers_are_made_of_stays_as_it_is() -> None:
    network = torch.nn.ModuleDict(
        {"wrapped": LoraLayer(Network().projection, "default", LoraConfig(r=2), r=2), "plain": Network().projection}
    )
    pack(network)
    assert type(network["plain"]) is packed_as(torch.float32)
    assert not any(isinstance(module, PackedLinear | HalfLinear) for module in network["wrapped"].modules())


@torch.no_grad()
def test_what_the_processor_has_no_product_for_stays_as_it_is() -> None:
    network = Network().double()
    pack(network)
    assert not any(isinstance(module, PackedLinear | HalfLinear) for module in network.modules())
