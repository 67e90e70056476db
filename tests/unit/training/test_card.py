"""The model card and the learning curve: what a person sees of a training."""

from __future__ import annotations

from medasr.training.card import model_card
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
