"""The same recordings are the same dataset wherever they come from, and nothing is dropped without a reason."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset, ExclusionReason
from medasr.errors import DatasetError

TEXTS = {"a_1": ("I have a headache.", "train"), "b_2": ("My knee hurts", "validate"), "c_3": ("Ça va, oedème", "test")}


def write_wav(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.05, 8000)
    soundfile.write(path, noise, 16000, subtype="PCM_16")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings in the published layout."""
    root = tmp_path / "medical"
    for seed, (name, (_, part)) in enumerate(TEXTS.items()):
        write_wav(root / "recordings" / part / f"{name}.wav", seed)
    write_overview(root, [(f"{name}.wav", text) for name, (text, _) in TEXTS.items()])
    return root


def write_overview(root: Path, rows: list[tuple[str, str]]) -> None:
    with (root / "overview-of-recordings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "phrase", "prompt", "speaker_id"])
        writer.writerows([name, text, "Some pain", "1"] for name, text in rows)


def load(source: Path | str, tmp_path: Path) -> Dataset:
    return load_dataset(source, cache=tmp_path / "cache")


def reasons(dataset: Dataset) -> dict[str, str]:
    return {one.id: str(one.reason) for one in dataset.exclusions}


class TestSources:
    def test_a_folder_as_published(self, folder: Path, tmp_path: Path) -> None:
        dataset = load(folder, tmp_path)
        assert [(one.id, one.reference, one.part, one.speaker) for one in dataset] == [
            (name, text, part, "1") for name, (text, part) in TEXTS.items()
        ]
        assert (len(dataset), dataset.source, dataset.exclusions) == (3, "medical", ())

    def test_recordings_without_folders_for_parts(self, folder: Path, tmp_path: Path) -> None:
        for path in list((folder / "recordings").rglob("*.wav")):
            shutil.move(path, folder / "recordings" / path.name)
        assert {one.part for one in load(folder, tmp_path)} == {None}

    @pytest.mark.parametrize("kind", ["csv", "jsonl"])
    def test_a_manifest_is_the_same_dataset(self, folder: Path, tmp_path: Path, kind: str) -> None:
        rows = [
            {
                "audio": f"recordings/{part}/{name}.wav",
                "text": text,
                "speaker": "1",
                "prompt": "Some pain",
                "split": part,
            }
            for name, (text, part) in TEXTS.items()
        ]
        manifest = folder / f"all.{kind}"
        with manifest.open("w", newline="", encoding="utf-8-sig") as file:
            if kind == "csv":
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        assert load(manifest, tmp_path).sha256 == load(folder, tmp_path).sha256

    @pytest.mark.parametrize("form", ["saved", "parquet"])
    def test_a_copy_from_the_hub_is_the_same_dataset(self, folder: Path, tmp_path: Path, form: str) -> None:
        copy = tmp_path / "copy"
        parts = {
            part: datasets.Dataset.from_dict(
                {
                    "id": [f"{name}.wav"],
                    "sentence": [text],
                    "prompt": ["Some pain"],
                    "speaker_id": [1],
                    "path": [{"bytes": (folder / "recordings" / part / f"{name}.wav").read_bytes(), "path": None}],
                }
            ).cast_column("path", datasets.Audio(decode=False))
            for name, (text, part) in TEXTS.items()
        }
        if form == "saved":
            datasets.DatasetDict(parts).save_to_disk(str(copy))
        else:
            copy.mkdir()
            for part, table in parts.items():
                table.to_parquet(str(copy / f"{part}-00000-of-00001.parquet"))
        dataset = load(copy, tmp_path)
        assert dataset.sha256 == load(folder, tmp_path).sha256
        with dataset.open_audio(next(iter(dataset))) as audio:
            assert os.fstat(audio.fileno()).st_mode & 0o777 == 0o600
            assert soundfile.read(audio)[0].shape == (8000,)

    def test_another_text_is_another_dataset(self, folder: Path, tmp_path: Path) -> None:
        before = load(folder, tmp_path).sha256
        write_overview(folder, [(f"{name}.wav", text.upper()) for name, (text, _) in TEXTS.items()])
        assert load(folder, tmp_path).sha256 != before

    def test_a_recording_that_vanished_is_an_error_when_it_is_opened(self, folder: Path, tmp_path: Path) -> None:
        dataset = load(folder, tmp_path)
        shutil.rmtree(folder / "recordings")
        with pytest.raises(DatasetError, match="restore the dataset"):
            dataset.open_audio(next(iter(dataset)))


class TestBadEntries:
    def test_each_is_listed_with_its_reason(self, folder: Path, tmp_path: Path) -> None:
        recordings = folder / "recordings" / "train"
        shutil.copy(recordings / "a_1.wav", recordings / "again.wav")
        shutil.copy(recordings / "a_1.wav", recordings / "other.wav")
        (recordings / "broken.wav").write_bytes(b"RIFF no audio")
        write_wav(recordings / "silent_text.wav", 8)
        write_wav(recordings / "stray.wav", 9)
        rows = [(f"{name}.wav", text) for name, (text, _) in TEXTS.items()]
        rows += [("again.wav", TEXTS["a_1"][0]), ("other.wav", "Something else"), ("broken.wav", "x")]
        rows += [("silent_text.wav", "  "), ("gone.wav", "x")]
        write_overview(folder, rows)
        dataset = load(folder, tmp_path)
        assert len(dataset) == 3
        assert reasons(dataset) == {
            "again": "DUPLICATE",
            "other": "CONFLICTING",
            "broken": "UNREADABLE",
            "silent_text": "NO_REFERENCE",
            "gone": "NO_AUDIO",
            "stray": "NO_ENTRY",
        }

    def test_an_id_that_occurs_twice(self, folder: Path, tmp_path: Path) -> None:
        write_overview(folder, [("a_1.wav", "One"), ("a_1.wav", "Two")])
        dataset = load(folder, tmp_path)
        assert Counter(one.reason for one in dataset.exclusions)[ExclusionReason.DUPLICATE_ID] == 1

    def test_a_path_out_of_the_folder_and_a_line_that_makes_no_sense(self, folder: Path, tmp_path: Path) -> None:
        lines = [{"audio": "recordings/train/a_1.wav", "text": "One"}, {"audio": "../../secret.wav", "text": "Two"}]
        (folder / "m.jsonl").write_text("\n".join([*map(json.dumps, lines), "{no json"]))
        assert reasons(load(folder / "m.jsonl", tmp_path)) == {"m.jsonl:2": "OUTSIDE", "m.jsonl:3": "MALFORMED"}


class TestRefusals:
    def test_no_usable_utterance(self, folder: Path, tmp_path: Path) -> None:
        write_overview(folder, [(f"{name}.wav", "") for name in TEXTS])
        with pytest.raises(DatasetError, match="3 NO_REFERENCE"):
            load(folder, tmp_path)

    def test_a_folder_that_is_no_dataset(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"overview-of-recordings\.csv"):
            load(tmp_path, tmp_path)

    def test_a_hub_dataset_without_a_revision(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="40 hex digits"):
            load("yashtiwari/PaulMooney-Medical-ASR-Data", tmp_path)

    def test_a_hub_that_cannot_be_reached(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="check the network"):
            load("yashtiwari/PaulMooney-Medical-ASR-Data@" + "0" * 40, tmp_path)


@pytest.mark.realdata
def test_the_real_recordings_load_without_exclusions(medical_speech: Path, tmp_path: Path) -> None:
    dataset = load(medical_speech, tmp_path)
    assert (len(dataset), dataset.exclusions, len({one.speaker for one in dataset})) == (223, (), 7)
