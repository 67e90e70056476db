"""What is learned from and what is measured on have nothing in common, whatever the dataset."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr.dataset.utterance import PARTS, Utterance
from medasr.errors import DatasetError
from medasr.splits import SPLITS, Split, crossed_folds, find_leaks, phrase_key, split_utterances


def utterance(number: int, phrase: int, speaker: int | None, part: str | None = None) -> Utterance:
    return Utterance(
        id=f"{number:05}",
        reference=f"My phrase number {phrase}.",
        speaker=None if speaker is None else f"speaker-{speaker}",
        prompt=None,
        part=part,
        audio_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
    )


def dataset(count: int = 600, phrases: int = 60, speakers: int = 12) -> list[Utterance]:
    chance = random.Random(0)
    return [utterance(n, chance.randrange(phrases), chance.randrange(speakers), PARTS[n % 3]) for n in range(count)]


DATASETS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 6)), min_size=1, max_size=60).map(
    lambda pairs: [utterance(number, phrase, speaker) for number, (phrase, speaker) in enumerate(pairs)]
)


def attributes(split: Split, utterances: list[Utterance], attribute: str) -> dict[str, set[str]]:
    by_id = {one.id: one for one in utterances}
    return {
        part: {phrase_key(by_id[key].reference) if attribute == "phrase" else str(by_id[key].speaker) for key in ids}
        for part, ids in split.parts.items()
    }


class TestSplits:
    @given(DATASETS)
    @settings(deadline=None)
    def test_phrases_are_in_one_part_only(self, utterances: list[Utterance]) -> None:
        split = split_utterances(utterances, "phrase-disjoint")
        assert not any(a & b for a, b in combinations(attributes(split, utterances, "phrase").values(), 2))
        assert sorted(key for ids in split.parts.values() for key in ids) == [one.id for one in utterances]

    @given(DATASETS, st.integers(0, 3))
    @settings(deadline=None)
    def test_neither_phrases_nor_speakers_are_shared(self, utterances: list[Utterance], seed: int) -> None:
        try:
            split = split_utterances(utterances, "phrase-and-speaker-disjoint", seed=seed)
        except DatasetError:
            assert min(len({one.speaker for one in utterances}), len({one.reference for one in utterances})) < len(
                PARTS
            )
            return
        for attribute in ("phrase", "speaker"):
            assert not any(a & b for a, b in combinations(attributes(split, utterances, attribute).values(), 2))
        assert split.leaks.warnings() == ()
        used = [key for ids in split.parts.values() for key in ids]
        assert sorted([*used, *split.unused]) == [one.id for one in utterances]

    @given(DATASETS)
    @settings(deadline=None)
    def test_the_order_does_not_matter(self, utterances: list[Utterance]) -> None:
        shuffled = sorted(utterances, key=lambda one: hashlib.sha256(one.id.encode()).digest())
        assert split_utterances(shuffled, "phrase-disjoint") == split_utterances(utterances, "phrase-disjoint")

    def test_parts_are_as_large_as_their_shares(self) -> None:
        split = split_utterances(dataset(), "phrase-disjoint")
        sizes = {part: len(ids) for part, ids in split.parts.items()}
        assert sizes == pytest.approx({"train": 360, "validate": 90, "test": 150}, abs=6)

    def test_no_part_of_a_doubly_disjoint_split_is_empty(self) -> None:
        split = split_utterances(dataset(), "phrase-and-speaker-disjoint")
        assert all(split.part(part) for part in PARTS)

    def test_published_parts_are_kept(self) -> None:
        split = split_utterances(dataset(9), "published")
        assert split.part("train") == ("00000", "00003", "00006")

    def test_all_is_for_testing(self) -> None:
        assert len(split_utterances(dataset(9), "all").part("test")) == 9

    def test_the_hash_tells_splits_apart(self) -> None:
        assert len({split_utterances(dataset(), name).sha256 for name in SPLITS}) == len(SPLITS)


class TestRefusals:
    def test_an_unknown_split_names_the_known(self) -> None:
        with pytest.raises(DatasetError, match="phrase-and-speaker-disjoint"):
            split_utterances(dataset(), "random")

    def test_a_source_without_parts(self) -> None:
        with pytest.raises(DatasetError, match="names no parts"):
            split_utterances([utterance(1, 1, 1)], "published")

    def test_a_source_without_speakers(self) -> None:
        with pytest.raises(DatasetError, match="phrase-disjoint"):
            split_utterances([utterance(n, n, None) for n in range(9)], "phrase-and-speaker-disjoint")

    def test_an_empty_part(self) -> None:
        with pytest.raises(DatasetError, match="with utterances: test"):
            split_utterances(dataset(), "all").part("train")


class TestCrossedFolds:
    def test_every_speaker_is_tested_once_on_phrases_that_were_not_trained(self) -> None:
        utterances = dataset()
        speakers: Counter[str] = Counter()
        for fold in crossed_folds(utterances, 4):
            assert fold.leaks.warnings() == ()
            speakers.update(attributes(fold, utterances, "speaker")["test"])
        assert set(speakers) == {str(one.speaker) for one in utterances}
        assert set(speakers.values()) == {1}


class TestLeaks:
    def test_a_random_split_leaks_and_says_so(self) -> None:
        warnings = split_utterances(dataset(), "published").leaks.warnings()
        learned = [one for one in warnings if "test utterances" in one and "say a phrase that is also in train" in one]
        assert len(learned) == 1
        assert learned[0].endswith("a model may have learned them by heart")

    def test_no_warning_quotes_a_phrase_or_names_a_speaker(self) -> None:
        text = " ".join(split_utterances(dataset(), "published").leaks.warnings())
        assert "number" not in text
        assert "speaker-" not in text

    def test_the_same_recording_in_two_parts(self) -> None:
        one = utterance(1, 1, 1)
        copy = Utterance(
            id="copy", reference="Other", speaker="x", prompt=None, part=None, audio_sha256=one.audio_sha256
        )
        (leak,) = find_leaks([one, copy], {"train": [one.id], "test": ["copy"]}).found
        assert (leak.shared_recordings, leak.shared_phrases, leak.shared_speakers) == (1, 0, 0)

    @pytest.mark.parametrize("reference", ["my phrase, number 1", "My phrase number 1!", " my  phrase number 1"])
    def test_case_and_punctuation_make_no_other_phrase(self, reference: str) -> None:
        assert phrase_key(reference) == phrase_key("My phrase number 1.")
