"""What may be learned from: nothing that is tested, and enough of it."""

from __future__ import annotations

import hashlib

import pytest

from medasr.dataset.utterance import Utterance
from medasr.errors import TrainingError, TrainingFailure
from medasr.lexicon import load_lexicon
from medasr.splits import Split, find_leaks, split_utterances
from medasr.training.gathering import Gathered, Need, apart_from, require_enough, require_no_leak, without_tested


def said(number: int, text: str, speaker: str = "one", part: str | None = None) -> Utterance:
    sha256 = hashlib.sha256(f"{number}".encode()).hexdigest()
    return Utterance(id=f"{number}", reference=text, speaker=speaker, prompt=None, part=part, audio_sha256=sha256)


def failure(error: pytest.ExceptionInfo[TrainingError]) -> TrainingFailure:
    return error.value.failure


class TestLeaks:
    def test_a_phrase_in_two_parts_is_refused_with_its_remedy(self) -> None:
        leaking = [said(1, "My knee hurts.", part="train"), said(2, "my knee hurts", "two", part="test")]
        with pytest.raises(TrainingError, match="phrase-and-speaker-disjoint") as error:
            require_no_leak(split_utterances(leaking, "published"))
        assert failure(error) is TrainingFailure.LEAK

    def test_a_shared_speaker_alone_is_allowed_where_it_was_asked_for(self) -> None:
        utterances = [said(1, "My knee hurts.", part="train"), said(2, "I cough.", part="test")]
        require_no_leak(split_utterances(utterances, "published"))

    def test_what_was_reviewed_is_dropped_where_it_is_tested(self) -> None:
        dataset = [said(1, "My knee hurts.", part="train"), said(2, "I cough at night.", part="test")]
        parts = {"train": ("1",), "validate": (), "test": ("2",)}
        split = Split(name="published", parts=parts, unused=(), leaks=find_leaks(dataset, parts))
        gathered = Gathered(dataset=dataset, split=split, train=(dataset[0],), validate=(), dropped=())  # type: ignore[arg-type]
        reviewed = [said(2, "Anything."), said(8, "i cough at night"), said(9, "Something new.")]
        assert [one.id for one in without_tested(reviewed, gathered)] == ["9"]

    def test_where_new_speakers_are_promised_a_tested_voice_is_not_learned(self) -> None:
        dataset = [said(1, "My knee hurts.", "one"), said(2, "I cough at night.", "two")]
        parts = {"train": ("1",), "validate": (), "test": ("2",)}
        split = Split(name="phrase-and-speaker-disjoint", parts=parts, unused=(), leaks=find_leaks(dataset, parts))
        gathered = Gathered(dataset=dataset, split=split, train=(dataset[0],), validate=(), dropped=())  # type: ignore[arg-type]
        reviewed = [said(8, "Something new.", "two"), said(9, "Something else.", "three")]
        assert [one.id for one in without_tested(reviewed, gathered)] == ["9"]

    def test_what_the_gate_tests_in_another_dataset_is_not_learned(self) -> None:
        dataset = [said(number, text) for number, text in enumerate(("My knee hurts.", "I cough.", "I feel sick."), 1)]
        parts = {"train": ("1", "2"), "validate": ("3",), "test": ()}
        split = Split(name="published", parts=parts, unused=(), leaks=find_leaks(dataset, parts))
        gathered = Gathered(
            dataset=dataset,  # type: ignore[arg-type]
            split=split,
            train=tuple(dataset[:2]),
            validate=(dataset[2],),
            dropped=(),
        )
        tested = [
            said(1, "Anything.", part="test"),
            said(8, "i feel sick", part="test"),
            said(9, "I cough.", part="train"),
        ]
        apart = apart_from(gathered, tested, "published")  # type: ignore[arg-type]
        assert [one.id for one in apart.train] == ["2"]
        assert (apart.validate, apart.tested_elsewhere) == ((), 2)
        reviewed = [said(20, "I feel sick!", "two"), said(21, "Something new.", "two")]
        assert [one.id for one in without_tested(reviewed, apart)] == ["21"]


class TestEnough:
    LEXICON = load_lexicon()

    def test_too_few_recordings_are_refused(self) -> None:
        with pytest.raises(TrainingError, match=r"training\.min_utterances") as error:
            require_enough([said(1, "My knee hurts.")], self.LEXICON, Need(utterances=2, terms=0))
        assert failure(error) is TrainingFailure.NO_DATA

    def test_what_the_gate_tests_is_named_where_it_left_too_few(self) -> None:
        with pytest.raises(TrainingError, match=r"0 recordings, besides 7 that the gate tests"):
            require_enough([], self.LEXICON, Need(utterances=2, terms=0), left_out=7)

    def test_too_few_terms_are_refused(self) -> None:
        with pytest.raises(TrainingError, match=r"training\.min_terms") as error:
            require_enough([said(1, "Hello there."), said(2, "Good bye.")], self.LEXICON, Need(utterances=2, terms=1))
        assert failure(error) is TrainingFailure.TOO_FEW_TERMS

    def test_enough_of_both_passes(self) -> None:
        require_enough(
            [said(1, "My knee hurts."), said(2, "I have a headache.")], self.LEXICON, Need(utterances=2, terms=2)
        )
