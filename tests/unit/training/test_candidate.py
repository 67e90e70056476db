"""An average of adapters, and the smaller adapter nearest to it."""

from __future__ import annotations

import pytest
import torch

from medasr.training.candidate import average, truncate

A, B = "model.fc1.lora_A.weight", "model.fc1.lora_B.weight"


def member(seed: int, rank: int = 4, inside: int = 20, outside: int = 30) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return {A: torch.randn(rank, inside, generator=chance), B: torch.randn(outside, rank, generator=chance)}


def change(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return tensors[B] @ tensors[A]


class TestTruncation:
    def test_what_fits_into_the_rank_is_kept_whole(self) -> None:
        whole = average([member(1), member(1)])
        kept = truncate(whole, 4)
        assert kept[A].shape == (4, 20)
        assert kept[B].shape == (30, 4)
        assert torch.allclose(change(kept), change(member(1)), atol=1e-4)

    def test_no_adapter_of_that_rank_is_nearer(self) -> None:
        whole = average([member(seed) for seed in range(3)])
        _, values, _ = torch.linalg.svd(change(whole))
        lost = (change(whole) - change(truncate(whole, 5))).norm()
        assert lost.item() == pytest.approx(values[5:].norm().item(), rel=1e-4)

    def test_a_small_adapter_stays_as_it_is(self) -> None:
        kept = truncate(member(1), 16)
        assert all(torch.equal(kept[name], tensor) for name, tensor in member(1).items())
