"""LoRA layers that learn: PEFT's, computed with fewer passes over memory.

PEFT's own forward writes what the adapter adds, the same scaled, and the sum, each as large as the layer's output, and brings what goes in to fp32,
which autocast takes back. Here the product adds to the output in place. What only looks on, as the encoder where it does not learn, sees
weights into which the adapter is merged, as it will serve.
"""

from __future__ import annotations

from typing import Any

import torch


def spare_passes(adapted: Any) -> None:
    """Have the plain LoRA layers of a peft.PeftModel computed so; 4-bit ones and those with dropout are PEFT's as before.

    It has to learn in fp32, or in bf16 under autocast: in fp16 what goes into an adapter must be brought to the type of its weights.
    """
    from peft.tuners.lora.layer import Linear
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in adapted.modules():
        if isinstance(module, BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # autocast chooses the type; the gradients are the same to the bit
        if type(module) is Linear and type(module.base_layer) is torch.nn.Linear and not _drops(module):
            module.forward = _LowRank(module)


def _drops(module: Any) -> bool:
    return any(not isinstance(one, torch.nn.Identity) for one in module.lora_dropout.values())


class _LowRank:
    """The forward of one layer with one adapter."""

    def __init__(self, layer: Any) -> None:
        (name,) = layer.active_adapters
        self._base = layer.base_layer
        self._down, self._up = layer.lora_A[name], layer.lora_B[name]
        self._scaling = float(layer.scaling[name])
        self._merged: torch.Tensor | None = None
        self._versions: tuple[int, int] | None = None

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Given ``[..., in]``, return ``[..., out]``."""
        base = self._base
        states = states.to(base.weight.dtype)  # on a GPU autocast normalizes to fp32
        if not torch.is_grad_enabled():
            return torch.nn.functional.linear(states, self._merged_weight(), base.bias)
        product: torch.Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            states, base.weight, base.bias, self._down.weight, self._up.weight, self._scaling
        )
        return product

    def _merged_weight(self) -> torch.Tensor:
        """The base's weights with what the adapter adds; anew after each step that changed it."""
        down, up, weight = self._down.weight, self._up.weight, self._base.weight
        versions = (down._version, up._version)
        if self._merged is None or versions != self._versions:
            self._merged = torch.addmm(weight, up.to(weight.dtype), down.to(weight.dtype), alpha=self._scaling)
            self._versions = versions
        return self._merged


class _Product(torch.autograd.Function):
    """``states @ weight.T + bias + scaling * (states @ down.T) @ up.T``; weight and bias do not learn."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        rows = states.flatten(0, -2)
        down, up = down.to(rows.dtype), up.to(rows.dtype)
        low = rows @ down.t()
        product = torch.nn.functional.linear(rows, weight, bias).addmm_(low, up.t(), alpha=scaling)
        ctx.save_for_backward(rows, weight, down, up, low)
        ctx.scaling = scaling
        return product.view(*states.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, down, up, low = ctx.saved_tensors
        given = gradient.flatten(0, -2)
        by_low = (given @ up).mul_(ctx.scaling)
        by_states = None
        if ctx.needs_input_grad[0]:
            by_states = (given @ weight).addmm_(by_low, down).view(*gradient.shape[:-1], -1)
        by_down = (by_low.t() @ rows).float()
        by_up = (given.t() @ low).float().mul_(ctx.scaling)
        return by_states, None, None, by_down, by_up, None
