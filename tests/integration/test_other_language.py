"""Which language the model hears, with real weights: English speech, and a model that was told something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from medasr.packs import locate
from medasr.types import SAMPLE_RATE, Hypothesis
from medasr.whisper.model import ModelOptions
from medasr.whisper.transcriber import load_transcriber
from tests.conftest import MODELS
from tests.support.whisper import sample, tiny_english

pytestmark = pytest.mark.whisper


def heard(options: ModelOptions) -> list[Hypothesis]:
    windows = [sample(name)[0][: 8 * SAMPLE_RATE] for name in ("dictation", "back-pain")]
    return load_transcriber(options).transcribe(windows)


@pytest.mark.parametrize(("language", "beams"), [("en", 1), ("de", 3)])
def test_a_model_that_knows_many_languages_tells_whether_it_hears_the_one_it_was_told(
    base_whisper: Path, language: str, beams: int
) -> None:
    base = locate(MODELS, "whisper-base")
    options = ModelOptions(
        path=base_whisper,
        base_id=base.name,
        base_revision=base.revision,
        base_sha256=base.weights_sha256,
        precision="fp32",
        device="cpu",
        language=language,
        beams=beams,
        threads=1,
    )
    for hypothesis in heard(options):
        assert (hypothesis.other_language_probability > 0.6) is (language != "en")


def test_a_model_that_knows_english_only_hears_no_other() -> None:
    assert [hypothesis.other_language_probability for hypothesis in heard(tiny_english())] == [0.0, 0.0]
