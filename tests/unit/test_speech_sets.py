"""The speech that comes with the package is what it says: long enough, readable to the end, and one set is not the other."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import soundfile

from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset
from medasr.errors import ConfigurationError
from medasr.speech_sets import REHEARSAL, UNLIKE, path_of
from medasr.splits import phrase_key

MINUTES = {REHEARSAL: 15, UNLIKE: 20}  #: at least
LARGEST = 3_000_000  #: bytes of a set


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    return {name: load_dataset(path_of(name), cache=tmp_path_factory.mktemp(name)) for name in MINUTES}


@pytest.mark.parametrize("name", MINUTES)
class TestASet:
    def test_every_recording_is_used_and_has_a_voice(self, sets: dict[str, Dataset], name: str) -> None:
        assert not sets[name].exclusions
        assert len(sets[name]) == len(list(path_of(name).parent.glob("*.ogg")))
        assert all(one.speaker for one in sets[name])

    def test_it_decodes_to_the_end_and_lasts_as_long_as_promised(self, sets: dict[str, Dataset], name: str) -> None:
        seconds = 0.0
        for utterance in sets[name]:
            with sets[name].open_audio(utterance) as file, soundfile.SoundFile(file) as recording:
                samples = recording.read()
                assert len(samples) == recording.frames
                assert (recording.samplerate, recording.channels) == (16_000, 1)
                assert abs(samples).max() > 0.01
                seconds += len(samples) / recording.samplerate
        assert seconds / 60 >= MINUTES[name]

    def test_it_stays_small(self, sets: dict[str, Dataset], name: str) -> None:
        assert sum(file.stat().st_size for file in path_of(name).parent.iterdir()) <= LARGEST
        assert len(sets[name]) > 60


class TestTheSets:
    def test_no_text_no_recording_and_no_voice_setting_is_in_both(self, sets: dict[str, Dataset]) -> None:
        for first, second in combinations(sets.values(), 2):
            assert not {phrase_key(one.reference) for one in first} & {phrase_key(one.reference) for one in second}
            assert not {one.audio_sha256 for one in first} & {one.audio_sha256 for one in second}
            assert not voices(first) & voices(second)

    def test_some_are_long_consultations(self, sets: dict[str, Dataset]) -> None:
        long = [one for one in sets[UNLIKE] if len(one.reference.split()) > 200]
        assert 4 <= len(long) <= 8

    def test_an_unknown_name_says_which_there_are(self) -> None:
        with pytest.raises(ConfigurationError, match=r"rehearsal.*unlike"):
            path_of("likely")

    def test_a_name_cannot_lead_elsewhere(self) -> None:
        with pytest.raises(ConfigurationError):
            path_of(str(Path("..") / "speech" / UNLIKE))


def voices(dataset: Dataset) -> set[str]:
    return {voice for one in dataset for voice in (one.speaker or "").split("+")}
