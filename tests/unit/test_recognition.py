"""From the hypotheses of windows to one transcript."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.types import Hypothesis, HypothesisSegment, SpeechSpan, Transcript, VerdictKind, Word

WINDOWS = [SpeechSpan(start=1.0, end=5.0), SpeechSpan(start=20.0, end=28.0)]


def piece(start: float, end: float, text: str) -> HypothesisSegment:
    return HypothesisSegment(start=start, end=end, text=text, mean_log_probability=-0.2)


def hypothesis(*segments: HypothesisSegment, **changes: float) -> Hypothesis:
    figures = {"mean_log_probability": -0.2, "no_speech_probability": 0.01, "compression_ratio": 1.0, **changes}
    return Hypothesis(text=" ".join(segment.text for segment in segments), segments=segments, **figures)


def transcribed(*hypotheses: Hypothesis) -> Transcript:
    return assemble(WINDOWS, hypotheses, WINDOWS, "en", QualityThresholds())


FIRST = hypothesis(piece(0.0, 4.0, "Good morning."))
SECOND = hypothesis(piece(0.0, 3.5, "My back hurts."), piece(3.5, 8.0, "Since yesterday."))


def test_windows_become_one_text_with_times_of_the_recording() -> None:
    transcript = transcribed(FIRST, SECOND)
    assert transcript.text == "Good morning. My back hurts. Since yesterday."
    assert [(segment.index, segment.start, segment.end) for segment in transcript.segments] == [
        (0, 1.0, 5.0),
        (1, 20.0, 23.5),
        (2, 23.5, 28.0),
    ]
    assert transcript.verdict.kind is VerdictKind.OK
    assert transcript.speech_seconds == 12.0


def test_without_speech_there_is_no_text() -> None:
    transcript = assemble([], [], [], "en", QualityThresholds())
    assert (transcript.text, transcript.segments, transcript.verdict.kind) == ("", (), VerdictKind.NO_SPEECH)


def test_text_of_a_window_that_is_not_speech_is_withheld() -> None:
    noise = hypothesis(piece(0.0, 2.0, "Thanks for watching!"), no_speech_probability=0.9, mean_log_probability=-1.5)
    transcript = transcribed(noise, SECOND)
    assert transcript.text == "My back hurts. Since yesterday."
    assert transcript.verdict.kind is VerdictKind.NEEDS_REVIEW
    assert [concern.code for concern in transcript.verdict.concerns] == ["NOT_SPEECH", "PHANTOM"]
    assert transcribed(noise, noise).verdict.kind is VerdictKind.NO_SPEECH


def test_punctuation_alone_is_not_text() -> None:
    transcript = transcribed(FIRST, hypothesis(piece(0.0, 8.0, "...")))
    assert transcript.text == "Good morning."
    assert [concern.code for concern in transcript.verdict.concerns] == ["LOW_COVERAGE"]


def test_a_segment_carries_the_concerns_that_touch_it() -> None:
    guess = HypothesisSegment(start=3.5, end=8.0, text="Since yes today.", mean_log_probability=-1.3)
    transcript = transcribed(FIRST, hypothesis(piece(0.0, 3.5, "My back hurts."), guess))
    assert [segment.concerns for segment in transcript.segments] == [(), (), ("LOW_CONFIDENCE",)]
    assert transcript.verdict.kind is VerdictKind.NEEDS_REVIEW


def test_words_get_times_of_the_recording_and_end_with_their_window() -> None:
    words = tuple(
        Word(start=start, end=end, text=text, confidence=0.9)
        for start, end, text in ((0.2, 0.6, "My"), (0.6, 1.0, "back"), (7.9, 8.01, "hurts."))
    )
    timed = replace(piece(0.0, 8.0, "My back hurts."), words=words)
    transcript = transcribed(FIRST, hypothesis(timed))
    assert [segment.words == () for segment in transcript.segments] == [True, False]
    assert [(word.start, word.end) for word in transcript.segments[1].words] == [
        (20.2, 20.6),
        (20.6, 21.0),
        (27.9, 28.0),
    ]


def test_a_missing_hypothesis_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="zip"):
        transcribed(FIRST)
