"""Weights in the order in which a CPU multiplies them.

The product of a few rows with a matrix reads the whole matrix, and oneDNN, which computes it in torch, first copies it into blocks of
its own: at every step of the decoder again. Here it is done once. In bf16 the numbers stay what they are; where fp32 is computed, weights
are kept in f16, in which Whisper's were published, since reading them is what a product of a few rows takes longest for.
"""

from __future__ import annotations

from typing import TypeGuard

import torch

from medasr.whisper.model import cpu_has_bfloat16


class PackedLinear(torch.nn.Module):
    """A linear layer for inference on a CPU, whose weights stand in oneDNN's blocks; only the product can be had of them."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        """Given the layer to take the place of, which is not changed."""
        super().__init__()
        #: Of weights and bias.
        self.nbytes = sum(parameter.nbytes for parameter in linear.parameters())
        self._bias = None if linear.bias is None else linear.bias.detach()
        # What torch's own compiler (inductor) calls for constant weights; there is no public name for it.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Given states ``[..., in]``, return ``[..., out]``."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self._weight, self._bias, "none", [], "")
        return product


class HalfLinear(torch.nn.Module):
    """A linear layer for inference on a CPU whose weights are kept in f16, and multiplied in fp32; only the product can be had of them.

    FBGEMM's, whose f16 weights, other than those of 8 bits, are no quantized tensors, which torch gives up. Weights of Whisper as it was published are f16 numbers and stay what they are; merged with an adapter they are rounded, each by
    a 2048th of itself at most (but for numbers below 0.00006), an eighth of what bf16 would.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        """Given the layer to take the place of, which is not changed."""
        super().__init__()
        #: Of weights and bias.
        self.nbytes = linear.weight.numel() * 2 + (0 if linear.bias is None else linear.bias.nbytes)
        bias = None if linear.bias is None else linear.bias.detach()
        self._packed = torch.ops.quantized.linear_prepack_fp16(linear.weight.detach(), bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Given states ``[..., in]``, return ``[..., out]``."""
        product: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(states, self._packed)
        return product


def pack(network: torch.nn.Module) -> None:
    """Pack the plain linear layers of a network that only infers from now on, in place, where the CPU has arithmetic for their type.

    What has other weights stays as it is: 4-bit ones, and whatever LoRA layers are made of. Weights that another module shares are
    kept besides.
    """
    for name, child in list(network.named_children()):
        if _is_plain(child):
            setattr(network, name, HalfLinear(child) if _fits_half(child.weight) else PackedLinear(child))
        elif not hasattr(child, "lora_A"):
            pack(child)


def _fits_half(weight: torch.Tensor) -> bool:
    """Whether fp32 weights may be kept in f16, and this CPU has FBGEMM to multiply them."""
    largest = torch.finfo(torch.float16).max
    here = "fbgemm" in torch.backends.quantized.supported_engines
    known = weight.dtype == torch.float32 and here and hasattr(torch.ops.quantized, "linear_prepack_fp16")
    return known and all(abs(float(extreme)) <= largest for extreme in weight.aminmax())


def _is_plain(module: torch.nn.Module) -> TypeGuard[torch.nn.Linear]:
    if type(module) is not torch.nn.Linear or module.weight.device.type != "cpu":
        return False
    known = module.weight.dtype == torch.float32 or (module.weight.dtype == torch.bfloat16 and cpu_has_bfloat16())
    return known and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
