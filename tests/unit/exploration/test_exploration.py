"""An exploration: the figures are the dataset's, the report shows them whole, and nothing in a dataset can break it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from medasr.dataset.loading import load_dataset
from medasr.errors import DatasetError
from medasr.exploration.distribution import describe
from medasr.exploration.exploration import Places, explore, require_free
from medasr.exploration.findings import findings
from medasr.exploration.noise import compare_noise
from medasr.exploration.survey import Survey
from medasr.lexicon import load_lexicon
from medasr.text.normalizers import text_normalizer
from tests.support.tones import Spoken, write_kaggle_folder

PICTURES = {
    *(
        "splits",
        "leaks",
        "preparation",
        "missing-and-duplicate-values",
        "sampling-rates",
        "durations",
        "rms-levels",
        "snr",
    ),
    *(
        "spectrograms",
        "ambiguous-transcriptions",
        "transcription-lengths",
        "prompts",
        "speakers",
        "influence",
        "term-coverage",
    ),
}
HOSTILE = "<script>alert(1)</script> & $x^2$ costs"


def _explore(folder: Path, recordings: list[Spoken]) -> tuple[Survey, Path]:
    source = write_kaggle_folder(folder / "speech", recordings)
    dataset = load_dataset(source, cache=folder / "cache")
    places = Places(out=folder / "out", records=folder / "records")
    return explore(dataset, load_lexicon(()), text_normalizer("clinical-en"), places, workers=2), places.out


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Path]:
    texts = (
        "My knee hurts.",
        "I have a sharp pain in my chest.",
        "She takes ibuprofen.",
        "He has asthma.",
        "I feel dizzy.",
        "My ear aches.",
    )
    recordings = [
        Spoken(
            text=text,
            speaker=str(speaker),
            prompt=f"prompt {number % 3}",
            part=("train", "validate", "test")[speaker % 3],
        )
        for speaker in range(6)
        for number, text in enumerate(texts)
    ]
    recordings += [
        Spoken(text=HOSTILE, speaker="7", prompt="<b>bold</b>", rate=44100),
        Spoken(text="Too short.", seconds=0.2),
        Spoken(text="Loud but clean.", amplitude=0.9),
        Spoken(text="Drowned in noise.", amplitude=0.05, noise=0.1),
    ]
    return _explore(tmp_path_factory.mktemp("exploration"), recordings)


class TestFigures:
    def test_counts_are_those_of_the_dataset(self, explored: tuple[Survey, Path]) -> None:
        survey, _ = explored
        assert survey.recordings == 40
        assert survey.phrases == 10
        assert len(survey.speakers) == 7
        assert survey.sample_rates == {16000: 39, 44100: 1}
        assert {column.column: column.missing for column in survey.columns} == dict.fromkeys(
            ("text", "recording", "prompt", "speaker", "part"), 0
        )

    def test_what_the_preparation_drops_has_its_reason(self, explored: tuple[Survey, Path]) -> None:
        survey, _ = explored
        reasons = {one.id: str(one.reason) for one in survey.preparation.dropped}
        assert reasons == {"0036": "AMBIGUOUS", "0037": "TOO_SHORT", "0039": "NOISY"}

    def test_terms_are_counted_by_part(self, explored: tuple[Survey, Path]) -> None:
        survey, _ = explored
        (drug,) = [term for term in survey.terms.terms if term.term == "ibuprofen"]
        assert (drug.occurrences, drug.recordings) == (6, 6)
        assert sum(drug.parts["published"].values()) == 6

    def test_a_loud_recording_is_not_called_noisy(self, explored: tuple[Survey, Path]) -> None:
        survey, _ = explored
        assert "0038" in survey.preparation.notebook.noisy_yet_clean

    def test_the_leak_of_the_published_parts_is_said(self, explored: tuple[Survey, Path]) -> None:
        survey, _ = explored
        assert any("published leaks" in sentence for sentence in findings(survey))


class TestReport:
    def test_every_picture_is_there_and_is_one(self, explored: tuple[Survey, Path]) -> None:
        _, out = explored
        pictures = {path.stem: path.read_bytes() for path in out.glob("*.png")}
        assert pictures.keys() == PICTURES
        assert all(content.startswith(b"\x89PNG") and len(content) > 3000 for content in pictures.values())

    def test_the_page_needs_nothing_else(self, explored: tuple[Survey, Path]) -> None:
        _, out = explored
        page = (out / "report.html").read_text()
        assert page.count("data:image/png;base64,") == len(PICTURES)
        assert not re.search(r"(src|href)=\"(?!data:|#)", page)
        assert "<script" not in page

    def test_what_a_dataset_says_is_never_markup(self, explored: tuple[Survey, Path]) -> None:
        _, out = explored
        page = (out / "report.html").read_text()
        assert "&lt;script&gt;alert(1)" in page

    def test_the_figures_are_there_for_programs(self, explored: tuple[Survey, Path]) -> None:
        survey, out = explored
        document = json.loads((out / "exploration.json").read_text())
        assert document["schema"] == "medasr.exploration/1"
        assert document["phrases"] == survey.phrases
        assert document["preparation"]["stages"][0]["before"] == 40

    def test_nobody_else_may_read_it(self, explored: tuple[Survey, Path]) -> None:
        _, out = explored
        assert out.stat().st_mode & 0o077 == 0
        assert all(path.stat().st_mode & 0o077 == 0 for path in out.iterdir())

    def test_a_dataset_without_speakers_prompts_and_parts_has_a_report(self, tmp_path: Path) -> None:
        source = write_kaggle_folder(tmp_path / "speech", [Spoken(text="One two."), Spoken(text="Three four.")])
        manifest = tmp_path / "manifest.csv"
        manifest.write_text(
            "audio,text\n" + "".join(f"speech/recordings/train/000{n}.wav,text {n}\n" for n in range(2))
        )
        assert source.is_dir()
        dataset = load_dataset(manifest, cache=tmp_path / "cache")
        places = Places(out=tmp_path / "out", records=tmp_path / "records")
        survey = explore(dataset, load_lexicon(()), text_normalizer("clinical-en"), places, workers=1)
        assert survey.speakers == ()
        assert set(survey.impossible_splits) == {"published", "phrase-and-speaker-disjoint"}
        assert (tmp_path / "out" / "report.html").is_file()


class TestFolder:
    def test_an_earlier_report_is_replaced(self, explored: tuple[Survey, Path]) -> None:
        require_free(explored[1])

    def test_other_files_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").write_text("mine")
        with pytest.raises(DatasetError, match="other files"):
            require_free(tmp_path)

    def test_one_that_cannot_be_made_is_refused_before_anything_is_measured(self) -> None:
        with pytest.raises(DatasetError, match="cannot be made"):
            require_free(Path("/proc/report"))


class TestDistributions:
    def test_every_figure_is_in_a_bar_or_counted_beside(self) -> None:
        figures = [1.0, 2.0, 2.5, 3.0, None, 1000.0]
        found = describe(figures, "s")
        assert found is not None
        assert (found.count, found.missing) == (5, 1)
        assert sum(found.counts) + found.below + found.above == 5

    def test_nothing_known_is_no_distribution(self) -> None:
        assert describe([None, float("nan")], "s") is None

    def test_loudness_is_told_from_noise(self) -> None:
        facts = compare_noise([(0.01 * loudness, float(loudness)) for loudness in range(1, 21)])
        assert facts.rank_correlation == pytest.approx(1.0)
        assert facts.shared == 0
        assert facts.loud_but_clean == 2
