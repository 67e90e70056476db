"""Every stage counts what it drops, and what the notebook would have made of the same recordings stands beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medasr.dataset.loading import load_dataset
from medasr.preparation import Preparation, PreparationRules, measure_all, prepare, write_record
from medasr.text.normalizers import text_normalizer
from tests.support.datasets import Entry, spoken, write_kaggle
from tests.support.recordings import noise, voice

RULES = PreparationRules()


def prepared(folder: Path, entries: list[Entry], rules: PreparationRules = RULES) -> Preparation:
    dataset = load_dataset(write_kaggle(folder / "medical", entries), cache=folder / "cache")
    measured, exclusions = measure_all(dataset, workers=2)
    return prepare(dataset, measured, exclusions, rules=rules, normalizer=text_normalizer("clinical-en"))


def flawed() -> list[Entry]:
    """One entry for each flaw, and two good ones."""
    return [
        Entry(name="clipped", samples=np.clip(voice(seed=1) * 20, -1, 1).astype(np.float32)),
        Entry(name="doubled", samples=voice(seed=8)),
        Entry(name="empty", samples=voice(seed=2), text="..."),
        Entry(name="faint", samples=voice(seed=3, noise_level=1e-4) / np.float32(300)),
        Entry(name="good", samples=voice(seed=4)),
        Entry(name="good44", samples=voice(seed=5, rate=44_100), rate=44_100, text="Don’t worry, 20 mg."),
        Entry(name="long", samples=voice(31.0)),
        Entry(name="noisy", samples=voice(seed=6, noise_level=0.1)),
        Entry(name="short", samples=voice(0.3)),
        Entry(name="silent", samples=np.zeros(16_000, dtype=np.float32)),
        Entry(name="symbol", samples=voice(seed=7), text="pain @ the #knee"),
        Entry(name="textless", samples=voice(seed=9), text=" "),
        Entry(name="twice", samples=voice(seed=8)),
    ]


class TestStages:
    def test_each_flaw_is_dropped_with_its_figure(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, flawed())
        assert found.kept == ("doubled", "good", "good44")
        assert {one.id: str(one.reason) for one in found.dropped} == {
            "clipped": "CLIPPED",
            "empty": "EMPTY_REFERENCE",
            "faint": "SILENT",
            "long": "TOO_LONG",
            "noisy": "NOISY",
            "short": "TOO_SHORT",
            "silent": "SILENT",
            "symbol": "AMBIGUOUS",
            "textless": "NO_REFERENCE",
            "twice": "DUPLICATE",
        }
        details = {one.id: one.detail for one in found.dropped}
        assert (details["short"], details["long"], details["symbol"]) == ("0.30 s", "31.00 s", "U+0040 U+0023")
        assert details["silent"] == "-120.0 dBFS"

    def test_counts_follow_from_stage_to_stage(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, flawed())
        assert [(one.name, one.before, one.dropped) for one in found.stages] == [
            ("missing", 13, 1),
            ("duplicate", 12, 1),
            ("unreadable", 11, 0),
            ("length", 11, 2),
            ("silence", 9, 2),
            ("clipping", 7, 1),
            ("noise", 6, 1),
            ("ambiguous text", 5, 1),
            ("16 kHz mono", 4, 0),
            ("normalized text", 4, 1),
        ]
        assert found.stages[-1].after == len(found.kept)
        assert [one.before for one in found.stages[1:]] == [one.after for one in found.stages[:-1]]
        assert {one.name: one.changed for one in found.stages[-2:]} == {"16 kHz mono": 1, "normalized text": 3}
        assert found.stages[3].reasons == {"TOO_SHORT": 1, "TOO_LONG": 1}

    def test_an_entry_with_several_flaws_is_dropped_once(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, [Entry(name="a", samples=noise(0.2), text="@"), *spoken(2)])
        assert [(one.id, str(one.reason)) for one in found.dropped] == [("a", "TOO_SHORT")]

    @pytest.mark.parametrize(
        ("change", "dropped"),
        [
            ({"min_seconds": 1.5}, 4),
            ({"max_seconds": 0.9}, 4),
            ({"min_rms_dbfs": 0.0}, 4),
            ({"max_clipped_share": -1.0}, 4),
            ({"min_snr_db": 90.0}, 4),
            ({"ambiguous": "."}, 2),
            ({}, 0),
        ],
    )
    def test_the_rules_decide(self, tmp_path: Path, change: dict[str, object], dropped: int) -> None:
        rules = replace(RULES, **change)  # type: ignore[arg-type]
        assert len(prepared(tmp_path, spoken(4), rules).dropped) == dropped

    def test_nothing_left_is_told_and_no_error(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, [Entry(name="a", samples=noise(2.0))])
        assert (found.kept, found.dropped[0].detail) == ((), "nothing stands out")


class TestNotebook:
    def test_it_calls_the_loud_voice_noisy_and_keeps_the_noise(self, tmp_path: Path) -> None:
        murmur = [
            Entry(name=f"m{seed}", samples=voice(seed=seed, noise_level=0.1) / np.float32(20)) for seed in range(9)
        ]
        found = prepared(tmp_path, [Entry(name="loud", samples=voice(level=0.3)), *murmur])
        assert (found.notebook_noisy, found.notebook.noisy_yet_clean) == (("loud",), ("loud",))
        assert found.kept == ("loud",)

    def test_its_characters_and_its_lost_digits_are_counted(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, flawed())
        assert found.notebook.ambiguous == ("good44", "symbol")  # a typographic apostrophe costs a good recording
        assert found.notebook.loses_digits == ("good44",)


class TestRecord:
    def test_it_lies_under_the_datasets_hash_for_its_owner_alone(self, tmp_path: Path) -> None:
        found = prepared(tmp_path, flawed())
        path = write_record(found, tmp_path / "datasets")
        assert path == tmp_path / "datasets" / found.dataset_sha256 / "preparation.json"
        assert [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
        assert [one.name for one in path.parent.iterdir()] == ["preparation.json"]
        held = json.loads(path.read_text())
        assert held["rules"]["min_snr_db"] == RULES.min_snr_db
        assert (held["kept"], held["dataset_sha256"]) == (list(found.kept), found.dataset_sha256)
        assert held["dropped"][0] == {"id": "clipped", "reason": "CLIPPED", "detail": found.dropped[0].detail}
        assert (held["stages"][0]["dropped"], held["normalizer"]) == (1, "clinical-en/1")

    def test_equal_preparations_are_equal_to_the_byte(self, tmp_path: Path) -> None:
        first = write_record(prepared(tmp_path, flawed()), tmp_path / "first").read_bytes()
        again = write_record(prepared(tmp_path, flawed()), tmp_path / "again").read_bytes()
        assert first == again
        assert b"knee" not in first  # no texts


@pytest.mark.realdata
def test_the_real_recordings(medical_speech: Path, tmp_path: Path) -> None:
    dataset = load_dataset(medical_speech, cache=tmp_path)
    found = prepare(dataset, *measure_all(dataset, workers=2), rules=RULES, normalizer=text_normalizer("clinical-en"))
    assert (len(found.kept), [str(one.reason) for one in found.dropped]) == (221, ["CLIPPED", "CLIPPED"])
    assert (len(found.notebook_noisy), len(found.notebook.noisy_yet_clean)) == (22, 22)
