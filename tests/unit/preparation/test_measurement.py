"""Recordings are measured by the code that serves; those that cannot be are listed, whatever is wrong with them."""

from __future__ import annotations

import csv
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from medasr.audio.normalization import normalize
from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset, ExclusionReason
from medasr.errors import TransientError
from medasr.preparation import MeasuredUtterance, measure, measure_all
from tests.support.datasets import Entry, spoken, write_kaggle
from tests.support.recordings import noise, voice


def load(folder: Path, entries: list[Entry]) -> Dataset:
    return load_dataset(write_kaggle(folder / "medical", entries), cache=folder / "cache")


def measured(dataset: Dataset) -> list[MeasuredUtterance]:
    found, exclusions = measure_all(dataset, workers=2)
    assert not exclusions
    return found


def test_facts_are_those_of_a_recording_that_is_transcribed(tmp_path: Path) -> None:
    stereo = np.stack([voice(rate=44_100), voice(rate=44_100)], axis=1)
    dataset = load(tmp_path, [Entry(name="a", samples=stereo, rate=44_100)])
    [one] = measured(dataset)
    with dataset.open_audio(one.utterance) as source, (tmp_path / "samples").open("w+b") as sink:
        assert one.facts == normalize(source.fileno(), sink.fileno())
    assert (one.facts.sample_rate, one.facts.channels, one.facts.container, one.is_normal) == (44_100, 2, "WAV", False)


def test_the_energy_is_the_notebooks(tmp_path: Path) -> None:
    offset = voice(level=0.2) + np.float32(0.05)  # the notebook does not take the offset out
    [one] = measured(load(tmp_path, [Entry(name="a", samples=offset)]))
    samples, _ = soundfile.read(tmp_path / "medical/recordings/test/a.wav")
    assert one.mean_absolute == pytest.approx(float(np.mean(np.abs(samples))), rel=1e-5)


def test_a_loud_recording_is_not_noisier_than_the_same_one_quiet(tmp_path: Path) -> None:
    sound = voice(level=0.2, noise_level=1e-3)
    loud, quiet = measured(
        load(tmp_path, [Entry(name="loud", samples=sound), Entry(name="quiet", samples=sound / np.float32(10))])
    )
    assert loud.mean_absolute == pytest.approx(10 * quiet.mean_absolute, rel=0.02)
    assert loud.snr_db == pytest.approx(quiet.snr_db, abs=0.5)


def test_the_outcome_is_ordered_whatever_the_number_of_workers(tmp_path: Path) -> None:
    dataset = load(tmp_path, spoken(20))
    heard: list[tuple[int, int | None]] = []
    alone, _ = measure_all(dataset, workers=1, progress=lambda done, total: heard.append((done, total)))
    assert (alone, [one.utterance for one in alone]) == (measure_all(dataset, workers=3)[0], list(dataset))
    assert heard == [(done, 20) for done in range(1, 21)]


def test_bad_recordings_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    not_finite = voice()
    not_finite[100] = np.nan
    entries = [
        Entry(name="cut", samples=voice(seed=1)),
        Entry(name="gone", samples=voice(seed=2)),
        Entry(name="good", samples=voice(seed=3)),
        Entry(name="nan", samples=not_finite, encoding="FLOAT"),
        Entry(name="slow", samples=noise(2.0), rate=1_000),
    ]
    dataset = load(tmp_path, entries)
    recordings = tmp_path / "medical" / "recordings" / "test"
    (recordings / "cut.wav").write_bytes((recordings / "cut.wav").read_bytes()[:20_000])
    (recordings / "gone.wav").unlink()
    found, exclusions = measure_all(dataset, workers=2)
    assert [one.utterance.id for one in found] == ["good"]
    assert [(one.id, one.reason, one.detail) for one in exclusions] == [
        ("cut", ExclusionReason.UNREADABLE, "TRUNCATED"),
        ("gone", ExclusionReason.NO_AUDIO, ""),
        ("nan", ExclusionReason.UNREADABLE, "NOT_FINITE"),
        ("slow", ExclusionReason.UNREADABLE, "BAD_RATE"),
    ]


def test_no_room_for_temporary_files_is_no_fault_of_the_recording(tmp_path: Path) -> None:
    dataset = load(tmp_path, spoken(3))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(TransientError, match="TMPDIR"):
            measure_all(dataset, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.realdata
def test_people_hear_noise_where_the_ratio_is_low(medical_speech: Path, tmp_path: Path) -> None:
    """The labels of the publication, over all pairs of a noisy and a clean recording; within a speaker nothing tells them apart."""
    with (medical_speech / "overview-of-recordings.csv").open(encoding="utf-8") as file:
        noisy = {
            Path(row["file_name"]).stem: row["background_noise_audible"] != "no_noise" for row in csv.DictReader(file)
        }
    dataset = load_dataset(medical_speech, cache=tmp_path)
    found = [
        one for one in (measure(dataset, utterance) for utterance in dataset) if isinstance(one, MeasuredUtterance)
    ]
    labels = np.array([noisy[one.utterance.id] for one in found])

    def right(values: list[float | None]) -> float:
        ratios = np.array(values, dtype=np.float64)
        return float(np.mean(ratios[labels][:, None] < ratios[~labels][None, :]))

    assert len(found) == 223
    assert right([one.snr_db for one in found]) > 0.95
    assert right([one.snr_db for one in found]) > right([one.facts.snr_db for one in found]) + 0.1
