"""Drugs and doses that were guesses are what a person looks at first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medasr.doubts import mark_doubtful_terms
from medasr.lexicon import find_terms, load_lexicon
from medasr.quality import QualityThresholds
from medasr.types import Concern, Segment, Transcript, Verdict, VerdictKind, Word

LEXICON = load_lexicon()
THRESHOLDS = QualityThresholds(min_term_confidence=0.5)
LOOP = Concern(code="LOOP", value=3.0, start=0.0, end=2.0)


def said(index: int, *words: tuple[str, float], start: float = 0.0) -> Segment:
    """A segment whose words, each with its confidence, are said half a second after each other and for 0.4 s."""
    times = [start + place / 2 for place in range(len(words))]
    return Segment(
        index=index,
        start=start,
        end=start + len(words) / 2,
        text=" ".join(text for text, _ in words),
        mean_log_probability=-0.1,
        no_speech_probability=0.0,
        compression_ratio=1.0,
        words=tuple(
            Word(start=time, end=time + 0.4, text=text, confidence=confidence)
            for time, (text, confidence) in zip(times, words, strict=True)
        ),
    )


def sure(text: str) -> list[tuple[str, float]]:
    return [(word, 0.95) for word in text.split()]


def transcript(*segments: Segment, concerns: tuple[Concern, ...] = ()) -> Transcript:
    return Transcript(
        text=" ".join(segment.text for segment in segments),
        language="en",
        segments=segments,
        speech=(),
        verdict=Verdict(kind=VerdictKind.NEEDS_REVIEW if concerns else VerdictKind.OK, concerns=concerns),
    )


def marked(*segments: Segment, concerns: tuple[Concern, ...] = (), least: float = 0.5) -> Transcript:
    given = transcript(*segments, concerns=concerns)
    terms = find_terms(LEXICON, given.segments, given.text)
    return mark_doubtful_terms(given, terms, replace(THRESHOLDS, min_term_confidence=least))


def test_a_drug_that_was_a_guess_is_a_concern_with_its_time_and_confidence() -> None:
    found = marked(said(0, *sure("I take"), ("ibuprofen", 0.3), *sure("every night")))
    assert found.verdict.kind is VerdictKind.NEEDS_REVIEW
    assert found.verdict.concerns == (Concern(code="DOUBTFUL_TERM", value=0.3, start=1.0, end=1.4),)


def test_a_drug_that_was_none_leaves_the_transcript_as_it_is() -> None:
    given = transcript(said(0, *sure("I take ibuprofen 500 mg")))
    assert mark_doubtful_terms(given, find_terms(LEXICON, given.segments, given.text), THRESHOLDS) == given


def test_other_terms_may_be_guesses() -> None:
    assert marked(said(0, ("fever", 0.1), ("and", 0.9), ("asthma", 0.1))).verdict.kind is VerdictKind.OK


@pytest.mark.parametrize(
    ("words", "value", "start"),
    [
        ([("500", 0.4), ("mg", 0.99)], 0.4, 0.5),
        ([("500", 0.99), ("mg", 0.3)], 0.3, 0.5),
        ([("500mg", 0.3)], 0.3, 0.5),
        ([("half", 0.9), ("a", 0.1), ("tablet.", 0.9)], 0.3, 0.5),
    ],
    ids=["number", "unit", "one word", "several words"],
)
def test_a_dose_is_no_surer_than_its_number_or_its_unit(
    words: list[tuple[str, float]], value: float, start: float
) -> None:
    (concern,) = marked(said(0, ("take", 0.95), *words)).verdict.concerns
    assert (concern.value, concern.start) == (pytest.approx(value), start)
    assert concern.end == pytest.approx(0.9 + (len(words) - 1) / 2)


def test_they_stand_before_all_other_concerns_in_the_order_of_the_text() -> None:
    first, second = said(0, ("ibuprofen", 0.3)), said(1, ("aspirin", 0.2), start=8.0)
    found = marked(replace(first, concerns=("LOOP",)), second, concerns=(LOOP,))
    assert [(one.code, one.start) for one in found.verdict.concerns] == [
        ("DOUBTFUL_TERM", 0.0),
        ("DOUBTFUL_TERM", 8.0),
        ("LOOP", 0.0),
    ]
    assert [one.concerns for one in found.segments] == [("DOUBTFUL_TERM", "LOOP"), ("DOUBTFUL_TERM",)]


def test_a_dose_whose_number_stands_in_the_segment_before_begins_there() -> None:
    (concern,) = marked(said(0, ("take", 0.9), ("two", 0.3)), said(1, ("tablets", 0.9), start=5.0)).verdict.concerns
    assert (concern.start, concern.end) == (0.5, 5.4)


def test_where_words_were_not_timed_the_segment_says_how_sure_the_model_was() -> None:
    guessed = replace(said(0, *sure("I take 500 mg ibuprofen")), words=(), mean_log_probability=-2.0)
    assert [one.code for one in marked(guessed).verdict.concerns] == ["DOUBTFUL_TERM"] * 2
    assert marked(replace(guessed, mean_log_probability=-0.1)).verdict.kind is VerdictKind.OK


def test_at_zero_nothing_is_doubtful() -> None:
    assert marked(said(0, ("ibuprofen", 0.0)), least=0.0).verdict.kind is VerdictKind.OK


def test_a_transcript_without_text_stays_what_it_is() -> None:
    given = Transcript(text="", language="en", segments=(), speech=(), verdict=Verdict(kind=VerdictKind.NO_SPEECH))
    assert mark_doubtful_terms(given, [], THRESHOLDS) == given
