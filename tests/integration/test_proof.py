"""What `medasrd doctor --gpu` measures, here on the processor: the same path on another device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medasr.training.proof import prove
from medasr.training.recipe import TrainingRecipe
from tests.support.whisper import tiny_english


@pytest.mark.parametrize("precision", ["nf4", "fp32"])
def test_weights_are_loaded_trained_beside_and_served(precision: str) -> None:
    recipe = replace(TrainingRecipe(), precision=precision, batch_size=2, rank=4, acoustic_share=1.0)  # type: ignore[arg-type]
    proof = prove(replace(tiny_english(), precision=precision), recipe, batch_size=1)  # type: ignore[arg-type]
    assert (proof.device, proof.precision, proof.rows) == ("cpu", precision, 2)
    assert min(proof.load_seconds, proof.step_seconds, proof.transcription_seconds, proof.rtfx) > 0
    assert 0 < proof.load_bytes <= proof.step_bytes <= proof.transcription_bytes
