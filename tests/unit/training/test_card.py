"""The model card and the learning curve: what a person sees of a training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from medasr.training.card import model_card
from medasr.training.curve import draw_curve
from medasr.whisper.manifest import AdapterManifest

FIGURES = {"normalized_wer": 8.0, "mta": 85.0, "utterances": 31, "terms": 44}


def manifest(**facts: object) -> AdapterManifest:
    return AdapterManifest(
        base_id="whisper-base",
        base_revision="1",
        base_sha256="ab",
        shortest_context=10.0,
        dataset={"source": "a dataset", "examples": 124, "minutes": 9.7, "split": "all"},
        **facts,  # type: ignore[arg-type]
    )


class TestCard:
    def test_it_names_data_windows_figures_and_limits(self) -> None:
        figures = {"base": FIGURES, "adapter": {**FIGURES, "mta": 89.0}}
        card = model_card(manifest(metrics=figures), "openai/whisper-base")
        assert card.startswith("---\nbase_model: openai/whisper-base\n")
        assert "124 recordings, 9.7 minutes" in card
        assert "from 10 s to 30 s" in card
        assert "| medical term accuracy | 85.00 | 89.00 |" in card
        assert "## Limits" in card

    def test_without_validation_it_claims_nothing(self) -> None:
        card = model_card(manifest(), "openai/whisper-base")
        assert "Nothing was held back for validation" in card
        assert "| base |" not in card


@pytest.mark.parametrize("trials", [0, 3])
def test_a_learning_curve_is_a_picture(tmp_path: Path, trials: int) -> None:
    history = {
        "losses": [2.0 / (1 + step / 10) for step in range(60)],
        "base": FIGURES if trials else None,
        "trials": [{"epoch": epoch, "interpolation": 1.0, "figures": FIGURES} for epoch in range(1, trials + 1)],
    }
    (tmp_path / "history.json").write_text(json.dumps(history))
    draw_curve(tmp_path / "history.json", tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(2**20) or ()) > 20
    assert (tmp_path / "curve.png").stat().st_mode & 0o777 == 0o600
