"""The adapter that comes with medasr: whole, small, made for the base that comes with it, and what serves from the first run on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daemon.registry.embedded import EMBEDDED, embedded_adapter
from medasr.packs import locate
from medasr.speech import SpeechDetector, SpeechOptions, plan_windows
from medasr.text.normalizers import text_normalizer
from medasr.types import SAMPLE_RATE
from medasr.whisper.fit import require_fit
from medasr.whisper.manifest import CARD_FILE, WEIGHTS_FILE, read_heard, require_base, verify_adapter
from medasr.whisper.model import ModelOptions
from medasr.whisper.transcriber import load_transcriber
from tests.conftest import MODELS
from tests.support.whisper import sample

FOLDERS = sorted(path for path in EMBEDDED.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
class TestFiles:
    def test_they_are_what_the_manifest_says(self, folder: Path) -> None:
        manifest = verify_adapter(folder)
        assert manifest.base_id == folder.name
        assert manifest.audio_context == "variable"
        assert embedded_adapter(folder.name, "en") == folder

    def test_they_are_small(self, folder: Path) -> None:
        assert (folder / WEIGHTS_FILE).stat().st_size <= 5_000_000

    def test_the_card_names_data_recipe_figures_and_limits(self, folder: Path) -> None:
        card = (folder / CARD_FILE).read_text(encoding="utf-8")
        for words in ("Learned from", "Recipe", "interval", "## Limits", "normalized WER"):
            assert words in card

    def test_what_was_heard_is_known(self, folder: Path) -> None:
        heard = read_heard(folder)
        assert len(heard.recordings) > 200
        assert len(heard.speakers) >= 7


def test_it_fits_the_base_that_comes_with_medasr(base_whisper: Path) -> None:
    base, folder = locate(MODELS, "whisper-base"), EMBEDDED / "whisper-base"
    require_base(verify_adapter(folder), base.weights_sha256)
    require_fit(base_whisper, folder)


@pytest.mark.parametrize("name", ["dictation", "back-pain"])
def test_it_hears_the_sample_consultations(base_whisper: Path, name: str) -> None:
    """Speech unlike what it learned from: few words may be wrong."""
    from jiwer import wer

    base = locate(MODELS, "whisper-base")
    transcriber = load_transcriber(
        ModelOptions(
            path=base_whisper,
            base_id=base.name,
            base_revision=base.revision,
            base_sha256=base.weights_sha256,
            adapter=EMBEDDED / "whisper-base",
            device="cpu",
        )
    )
    waveform, reference = sample(name)
    windows = plan_windows(SpeechDetector(SpeechOptions()).detect(waveform), SpeechOptions())
    cut = [waveform[round(one.start * SAMPLE_RATE) : round(one.end * SAMPLE_RATE)] for one in windows]
    text = " ".join(hypothesis.text for hypothesis in transcriber.transcribe(cut))
    plain = text_normalizer("clinical-en")
    assert wer(plain(" ".join(reference.split())), plain(text)) < 0.12


def test_a_first_version_of_a_new_home_is_entered_after_the_embedded_one_serves(home: Path, base_whisper: Path) -> None:
    """Both are put on the shelf, one within the other: this once waited for itself for ever."""
    from daemon.registry import desk
    from daemon.registry.serving import resolve
    from tests.conftest import write_config

    config = write_config(home, model={"base": "whisper-base"})
    other = home / "other"
    shutil.copytree(EMBEDDED / "whisper-base", other)
    name = desk.install(config, other, "imported")
    assert Path(resolve(config).adapter).name == name
