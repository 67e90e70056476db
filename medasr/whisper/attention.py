"""What queries gather from values, in the way that is fastest where it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

#: Over up to so many keys, as many as a text has, fp32 is faster, and oneDNN, which keeps a program of half a megabyte for every shape that
#: it has met, does not see each length that a text may have.
_SHORT = 448
#: Up to so many queries share a product with those of other rows; of more, as many as fit near the processor are answered at a time.
_FEW, _MANY = 32, 125
#: Products of queries with keys at a time, where gradients are asked.
_PRODUCTS = 2_000_000
#: Products of few queries go over so many rows at a time: few shapes, again.
_ROWS = 4
#: Up to so many queries in fp32 are answered one by one, by one thread where torch has so many.
_ONE_BY_ONE, _ONE_READS = 8, 2


def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """The attention of queries that are already scaled.

    Given ``[rows, heads, n, head width]``, and keys and values ``[rows, heads, time, head width]``, return the shape of the queries.
    ``causal``: the n-th query looks at no key behind the n-th.

    In bf16 on a CPU, torch's own way copies keys and values into another layout for every call, a few queries or many: two products take a
    sixth of its time for one query, and two thirds for as many as keys. What they round to bf16 in between is lost in what every linear
    layer rounds: encodings are as far from those in fp32 as with torch's own.
    """
    if lie_by_feature(keys) and not causal:  # a product reads them as they lie, torch's own way would copy them
        return (_one_by_one if query.shape[2] <= _ONE_BY_ONE else _gathered)(query, keys, values)
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values, is_causal=causal, scale=1.0)
    if torch.is_grad_enabled() and any(states.requires_grad for states in (query, keys, values)):
        learned: torch.Tensor = _Learned.apply(query, keys, values, causal)  # type: ignore[no-untyped-call]
        return learned
    if causal or keys.shape[2] <= _SHORT:
        exact = query.float(), keys.float(), values.float()
        attended = torch.nn.functional.scaled_dot_product_attention(*exact, is_causal=causal, scale=1.0)
        return attended.to(query.dtype)
    if query.shape[2] <= _FEW:
        rows = zip(*(torch.split(states, _ROWS) for states in (query, keys, values)), strict=True)
        return torch.cat([_gathered(*some) for some in rows])
    query, keys, values = query.contiguous(), keys.contiguous(), values.contiguous()  # else each product copies them
    gathered = torch.empty_like(query)
    for row in range(len(query)):
        for first in range(0, query.shape[2], _MANY):
            asking = (slice(row, row + 1), slice(None), slice(first, first + _MANY))
            gathered[asking] = _gathered(query[asking], keys[row : row + 1], values[row : row + 1])
    return gathered


def room_for(states: torch.Tensor, rows: int, heads: int, time: int) -> torch.Tensor:
    """Room for the keys or the values of so many rows, ``[rows, heads, time, head width]``, of the type and on the device of states.

    In fp32 on a CPU the numbers of a feature lie side by side, time after time: what one query asks is then read as fast as memory gives
    it (:func:`_one_by_one`). Three threads or more should read as fast in torch's own way, which shares it out.
    """
    width = states.shape[-1] // heads
    if states.device.type == "cpu" and states.dtype == torch.float32 and torch.get_num_threads() <= _ONE_READS:
        return states.new_empty((rows, heads, width, time)).transpose(2, 3)
    return states.new_empty((rows, heads, time, width))


def lie_by_feature(states: torch.Tensor) -> bool:
    """Whether keys or values ``[rows, heads, time, head width]`` lie as :func:`room_for` has them in fp32."""
    return states.stride(2) == 1 and states.stride(3) != 1


def written(attention: Any, asking: torch.Tensor, asked: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """What one of a network's attention layers writes.

    Given the layer (transformers' ``WhisperAttention``), states that ask ``[rows, n, width]`` and states that are asked ``[rows, time, width]``,
    return the shape of those that ask. ``causal`` as for :func:`attend`.
    """
    # As in transformers the query is scaled before the product, not the product: in half precision that is not the same.
    query, keys, values = (
        states.unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for states in (attention.q_proj(asking) * attention.scaling, attention.k_proj(asked), attention.v_proj(asked))
    )
    gathered = attend(query, keys, values, causal=causal).transpose(1, 2).flatten(2)
    out: torch.Tensor = attention.out_proj(gathered)
    return out


class _Learned(torch.autograd.Function):
    """Attention of which gradients are asked: they compute the shares anew, as many heads at a time as fit near the processor."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, causal: bool) -> torch.Tensor:
        query, keys, values = (states.contiguous() for states in (query, keys, values))
        ctx.save_for_backward(query, keys, values)
        ctx.causal = causal
        attended = torch.empty_like(query)
        for asking, asked, gathered, into in _together(query, keys, values, attended):
            torch.bmm(_shares(asking, asked, causal=causal), gathered, out=into)
        return attended

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        saved = ctx.saved_tensors
        learned = [torch.empty_like(states) for states in saved]
        for query, keys, values, given, by_query, by_keys, by_values in _together(
            *saved, gradient.contiguous(), *learned
        ):
            shares = _shares(query, keys, causal=ctx.causal)
            torch.bmm(shares.transpose(1, 2), given, out=by_values)
            by_shares = torch.bmm(given, values.transpose(1, 2))
            by_scores = torch._softmax_backward_data(by_shares, shares, -1, shares.dtype)
            torch.bmm(by_scores, keys, out=by_query)
            torch.bmm(by_scores.transpose(1, 2), query, out=by_keys)
        return *learned, None


def _together(query: torch.Tensor, keys: torch.Tensor, *others: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """States ``[rows, heads, n, head width]`` as ``[some, n, head width]``: so many heads at a time as their products find room for."""
    flat = [states.flatten(0, 1) for states in (query, keys, *others)]
    count = max(1, _PRODUCTS // (query.shape[2] * keys.shape[2]))
    return zip(*(torch.split(states, count) for states in flat), strict=True)


def _shares(query: torch.Tensor, keys: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """How much each query ``[some, n, head width]`` takes of what stands at each key: ``[some, n, time]``."""
    products = torch.bmm(query, keys.transpose(1, 2))
    if causal:
        behind = torch.ones(products.shape[1:], dtype=torch.bool).triu(1)
        products.masked_fill_(behind, -torch.inf)
    return products.softmax(dim=-1)


def _one_by_one(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Attention of few queries, each a product of a matrix with a vector.

    By numpy, whose OpenBLAS reads the matrix as fast as memory gives it; torch's MKL takes twice as long on an AMD processor with AVX2, in
    the one layout as in the other. Several queries of a row find it near the processor from the second on.
    """
    asking = query.unsqueeze(3).numpy()  # [rows, heads, n, 1, head width]
    by_key = np.matmul(asking, keys.transpose(2, 3).unsqueeze(2).numpy())
    shares = torch.from_numpy(by_key).softmax(dim=-1).numpy()
    gathered = np.matmul(values.transpose(2, 3).unsqueeze(2).numpy(), shares.swapaxes(3, 4))
    return torch.from_numpy(gathered).squeeze(4)


def _gathered(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    shares = _shares(query.flatten(0, 1), keys.flatten(0, 1), causal=False)
    return torch.bmm(shares, values.flatten(0, 1)).view(query.shape)
