"""A forest is believed only where it beats guessing, on phrases it has not seen."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from medasr.dataset.utterance import Utterance
from medasr.preparation import Influence, influence
from medasr.preparation.influence import Target, keywords
from medasr.text.normalizers import text_normalizer

NORMALIZER = text_normalizer("clinical-en")
TOPICS = ("knee", "stomach", "throat", "shoulder")


def utterances(*, prompted: bool = True, speakers: int = 6) -> list[Utterance]:
    """Forty phrases, each five times; the prompt is the phrase's topic, or drawn by lot; the speaker is always drawn."""
    draw = random.Random(0)
    return [
        Utterance(
            id=f"{number:03d}",
            reference=f"{TOPICS[phrase % 4].capitalize()} {'abcdefghij'[phrase // 4] * 3}{'xyzw'[phrase % 4] * 3}.",
            prompt=f"topic {phrase % 4 if prompted else draw.randrange(4)}",
            speaker=str(draw.randrange(speakers)),
            part=None,
            audio_sha256="",
        )
        for number in range(200)
        for phrase in [number % 40]
    ]


@pytest.fixture(scope="module")
def found() -> Influence:
    return influence(utterances(), NORMALIZER)


def verdicts(found: Influence) -> dict[tuple[str, ...], dict[str, bool]]:
    return {
        features: {str(one.target): one.predicts for one in found.predictions if one.features == features}
        for features in {one.features for one in found.predictions}
    }


def test_a_prompt_that_names_the_topic_predicts_and_a_speaker_by_lot_does_not(found: Influence) -> None:
    told = verdicts(found)
    assert told["prompt",]["keyword"]
    assert told["prompt", "speaker"]["keyword"]
    assert not told["speaker",]["keyword"]
    keyword = next(one for one in found.predictions if (one.features, one.target) == (("prompt",), Target.KEYWORD))
    assert (keyword.accuracy, keyword.classes, keyword.recordings) == (1.0, 4, 200)
    assert keyword.baseline < 0.4
    assert keyword.commonest == 0.25


def test_naming_the_commonest_must_be_beaten_too(found: Influence) -> None:
    one = found.predictions[0]
    assert not replace(one, accuracy=0.3, commonest=0.4, low=0.1).predicts
    assert replace(one, accuracy=0.5, commonest=0.4, low=0.1).predicts


def test_a_low_accuracy_may_be_an_influence_all_the_same(found: Influence) -> None:
    """What the notebook misses: a tenth of the phrases is little, and four times as much as guessing."""
    phrase = next(one for one in found.predictions if (one.features, one.target) == (("prompt",), Target.PHRASE))
    assert phrase.accuracy < 0.2
    assert (found.recordings, found.phrases, found.prompts, found.speakers) == (200, 40, 4, 6)


def test_a_prompt_by_lot_predicts_nothing() -> None:
    told = verdicts(influence(utterances(prompted=False), NORMALIZER))
    assert not any(answer for answers in told.values() for answer in answers.values())


def test_the_order_does_not_count(found: Influence) -> None:
    shuffled = utterances()
    random.Random(1).shuffle(shuffled)
    assert influence(shuffled, NORMALIZER) == found


def test_the_sentences_name_figures_and_no_phrase(found: Influence) -> None:
    text = " ".join(found.sentences)
    assert "the prompt tells something about it" in text
    assert "no influence of the speaker is shown" in text
    assert "100.0 % of 200 recordings" in text
    assert not any(topic in text for topic in TOPICS)


def test_what_a_dataset_does_not_tell_is_not_asked() -> None:
    told = influence(utterances(speakers=1), NORMALIZER)
    assert {one.features for one in told.predictions} == {("prompt",)}
    assert "does not tell speakers apart" in told.sentences[0]


def test_too_few_phrases_are_said_to_be_too_few() -> None:
    told = influence(utterances()[:4], NORMALIZER)
    assert (told.predictions, "too little" in told.sentences[-1]) == ((), True)


def test_phrases_that_occur_once_are_not_asked_for() -> None:
    told = influence(utterances()[:40], NORMALIZER)
    assert {one.target for one in told.predictions} == {Target.KEYWORD}


def test_the_key_word_is_the_commonest_of_the_phrases() -> None:
    assert keywords(["the knee hurts", "my knee", "hurts", "i am"]) == {
        "the knee hurts": "hurts",
        "my knee": "knee",
        "hurts": "hurts",
        "i am": "",
    }
