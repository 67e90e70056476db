"""The benchmark of a larger model's shape runs, and writes as many tokens as it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.medium import measure
from benchmarks.medium_process import network
from benchmarks.options import Options


def test_each_side_has_its_time_and_its_memory() -> None:
    figures = measure(Options(quick=True))

    ours = [side for side in figures.seconds if side.startswith("medasr")]
    assert [side[-15:] for side in ours] == ["windows of 30 s", "windows of 10 s"]
    assert all(spread.median > 0.0 for spread in figures.seconds.values())
    assert figures.memory.keys() == figures.seconds.keys()
    # At least the weights: embeddings, and a layer of encoder and decoder.
    assert min(spread.median for spread in figures.memory.values()) > 51865 * 1024 / 2**30
    assert replace(figures, seconds={side: figures.seconds[side] for side in ours}).lines()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_network_is_of_mediums_width_and_of_the_type_asked_for(kind: torch.dtype) -> None:
    made = network(1, kind)

    assert made.dtype == kind
    assert torch.get_default_dtype() == torch.float32
    assert made.model.encoder.layers[0].fc1.weight.shape == (4096, 1024)
    assert len(made.model.decoder.layers) == 1
