"""``medasrd explore`` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.config import Config
from tests.support.daemon_process import medasrd
from tests.support.tones import Spoken, write_kaggle_folder


def test_a_report_comes_of_a_folder(config: Config, tmp_path: Path) -> None:
    recordings = [Spoken(text=f"My knee hurts {number % 4} times.", speaker=str(number % 4)) for number in range(12)]
    source = write_kaggle_folder(tmp_path / "speech", recordings)
    done = medasrd("explore", source, "--out", tmp_path / "out", config=config)
    assert "12 recordings say 4 different phrases" in done.stdout
    assert done.stderr.splitlines() == ["measuring the recordings: 12 of 12"]
    assert (tmp_path / "out" / "report.html").is_file()
    document = json.loads((tmp_path / "out" / "exploration.json").read_text())
    record = config.paths.datasets / document["sha256"] / "preparation.json"
    assert json.loads(record.read_text())["dataset_sha256"] == document["sha256"]


def test_a_folder_with_other_files_is_refused_before_anything_is_read(config: Config, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    refused = medasrd("explore", "/nowhere", "--out", tmp_path, config=config, check=False)
    assert refused.returncode == 1
    assert "other files" in refused.stderr


@pytest.mark.realdata
def test_the_medical_recordings(config: Config, tmp_path: Path, medical_speech: Path) -> None:
    medasrd("explore", medical_speech, "--out", tmp_path / "out", config=config)
    document = json.loads((tmp_path / "out" / "exploration.json").read_text())
    assert (document["recordings"], document["phrases"], len(document["speakers"])) == (223, 199, 7)
    assert document["noise"]["loud_but_clean"] < document["noise"]["noisiest"]
