"""Attention as two products, held against torch's own in fp32."""

from __future__ import annotations

import pytest
import torch

from medasr.whisper.attention import attend, room_for
from medasr.whisper.model import cpu_has_bfloat16


def states(rows: int, count: int, seed: int) -> torch.Tensor:
    """Laid out as a projection gives them: ``[rows, 2 heads, count, 16]`` over ``[rows, count, 32]``."""
    return torch.randn(rows, count, 2, 16, generator=torch.Generator().manual_seed(seed)).transpose(1, 2)


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU emulates bf16, a hundred times slower")
@pytest.mark.parametrize("queries", [1, 3, 32, 33, 260])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_in_half_precision_it_is_torchs_own_but_for_rounding(rows: int, queries: int) -> None:
    given = states(rows, queries, 0), states(rows, 301, 1), states(rows, 301, 2)
    exact = torch.nn.functional.scaled_dot_product_attention(*given, scale=1.0)

    ours = attend(*(one.bfloat16() for one in given), causal=False)

    assert ours.shape == exact.shape
    assert ours.dtype == torch.bfloat16
    assert float((ours.float() - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize("causal", [True, False])
def test_in_fp32_it_is_torchs_own(causal: bool) -> None:
    given = states(2, 5, 0), states(2, 5, 1), states(2, 5, 2)

    ours = attend(*given, causal=causal)

    exact = torch.nn.functional.scaled_dot_product_attention(*given, is_causal=causal, scale=1.0)
    torch.testing.assert_close(ours, exact)


@pytest.mark.parametrize("queries", [1, 3, 8, 9])
@pytest.mark.parametrize("rows", [1, 4])
def test_over_keys_that_are_kept_it_is_torchs_own(rows: int, queries: int) -> None:
    given = states(rows, queries, 0), states(rows, 301, 1), states(rows, 301, 2)
    kept = [room_for(torch.empty(1, 32), rows, 2, 301).copy_(one) for one in given[1:]]

    ours = attend(given[0], *kept, causal=False)

    torch.testing.assert_close(
        ours, torch.nn.functional.scaled_dot_product_attention(*given, scale=1.0), atol=1e-5, rtol=1e-5
    )


def test_what_one_query_finds_does_not_depend_on_the_others() -> None:
    query, kept = (
        states(4, 8, 0),
        [room_for(torch.empty(1, 32), 4, 2, 301).copy_(states(4, 301, seed)) for seed in (1, 2)],
    )
    together = attend(query, *kept, causal=False)
    alone = attend(query[2:3, :, 5:6], *(one[2:3] for one in kept), causal=False)
    assert torch.equal(together[2:3, :, 5:6], alone)


def test_a_query_looks_at_nothing_behind_it() -> None:
    query, keys, values = states(1, 4, 0), states(1, 4, 1), states(1, 4, 2)
    changed = values.clone()
    changed[:, :, 3] += 9.0

    before, after = attend(query, keys, values, causal=True), attend(query, keys, changed, causal=True)

    torch.testing.assert_close(before[:, :, :3], after[:, :, :3])
    assert not torch.equal(before[:, :, 3], after[:, :, 3])


@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU emulates bf16, a hundred times slower")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("count", [7, 900])
def test_gradients_are_torchs_own_but_for_rounding(count: int, causal: bool) -> None:
    exact = [states(2, count, seed).requires_grad_() for seed in range(3)]
    halved = [one.detach().bfloat16().requires_grad_() for one in exact]
    weights = states(2, count, 3)

    torch.nn.functional.scaled_dot_product_attention(*exact, is_causal=causal, scale=1.0).mul(weights).sum().backward()
    attended = attend(*halved, causal=causal)
    attended.mul(weights.bfloat16()).sum().backward()

    for one, ours in zip(exact, halved, strict=True):
        assert one.grad is not None
        assert ours.grad is not None
        assert float((ours.grad.float() - one.grad).norm() / one.grad.norm()) < 0.03
    # The heads did not all fit beside each other, or this would not show that pieces are put together again.
    assert count < 900 or 4 * count * count > 2_000_000
