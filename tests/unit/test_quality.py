"""When a person should look at what the model wrote."""

from __future__ import annotations

import dataclasses

import pytest

from medasr.phantoms import is_phantom
from medasr.quality import QualityThresholds, compression_ratio, judge_window, longest_repetition, verdict_on
from medasr.types import Concern, Hypothesis, HypothesisSegment, SpeechSpan, VerdictKind

THRESHOLDS = QualityThresholds()
WINDOW = SpeechSpan(start=100.0, end=110.0)
SENTENCE = "I have had a sore throat since Monday."


def hypothesis(text: str = SENTENCE, **changes) -> Hypothesis:
    start, end = changes.pop("start", 0.0), changes.pop("end", 10.0)
    confidence = changes.pop("confidence", -0.2)
    segment = HypothesisSegment(start=start, end=end, text=text, mean_log_probability=confidence)
    figures = {
        "mean_log_probability": confidence,
        "no_speech_probability": 0.01,
        "compression_ratio": compression_ratio(text),
    }
    return Hypothesis(text=text, segments=(segment,) if text else (), **{**figures, **changes})


def codes(given: Hypothesis, speech: list[SpeechSpan] | None = None) -> list[str]:
    return [concern.code for concern in judge_window(WINDOW, given, speech or [WINDOW], THRESHOLDS)]


def test_a_clear_sentence_raises_no_concern() -> None:
    assert codes(hypothesis()) == []


def test_a_guessed_text_where_the_model_doubts_that_anybody_spoke_is_not_speech_and_nothing_else() -> None:
    assert codes(hypothesis("I do that.", no_speech_probability=0.9, confidence=-0.8)) == ["NOT_SPEECH"]


def test_a_loop_where_the_model_doubts_that_anybody_spoke_is_not_speech_however_confident() -> None:
    assert codes(hypothesis("BEEP " * 100, no_speech_probability=0.7, confidence=-0.1)) == ["NOT_SPEECH"]


def test_doubt_alone_does_not_withhold_a_text() -> None:
    assert codes(hypothesis(no_speech_probability=0.9, confidence=-0.3)) == []
    assert codes(hypothesis(no_speech_probability=0.4, confidence=-0.9)) == ["LOW_CONFIDENCE"]


def test_a_known_phantom_is_marked_where_the_model_half_doubts_that_anybody_spoke() -> None:
    assert codes(hypothesis("Thank you.", no_speech_probability=0.45, confidence=-0.3)) == ["PHANTOM"]


@pytest.mark.parametrize(("no_speech", "confidence"), [(0.7, -0.1), (0.5, -1.2)], ids=["doubted", "guessed"])
def test_a_known_phantom_is_withheld_on_more_doubt_or_on_a_guess(no_speech: float, confidence: float) -> None:
    given = hypothesis("Thanks for watching!", no_speech_probability=no_speech, confidence=confidence)
    assert codes(given) == ["NOT_SPEECH", "PHANTOM"]


def test_thanks_that_were_clearly_said_raise_no_concern() -> None:
    brief = [SpeechSpan(start=100.0, end=101.0)]
    assert codes(hypothesis("Thank you.", no_speech_probability=0.35, confidence=-0.3), brief) == []
    assert codes(hypothesis("Thank you, doctor.", no_speech_probability=0.5, confidence=-0.3), brief) == []


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Thank you.", True),
        ("Thank you! THANK YOU...", True),
        ("Don’t forget to subscribe!", True),
        ("Subtitles by the Amara.org community", True),
        ("[Music]", True),
        ("Thank you for the tablets.", False),
        ("Thank you. Bye.", False),
        ("No.", False),
        ("...", False),
        ("", False),
    ],
)
def test_phantoms_are_whole_texts(text: str, *, known: bool) -> None:
    assert is_phantom(text) is known


def test_a_text_that_compresses_too_well_is_a_loop() -> None:
    assert codes(hypothesis("and the pain and the pain " * 12, confidence=-0.05)) == ["LOOP", "TOO_FAST"]


def test_a_short_loop_is_seen_although_it_hardly_compresses() -> None:
    text = "It hurts here. It hurts here. It hurts here. It hurts here."
    assert codes(hypothesis(text, compression_ratio=2.0)) == ["LOOP"]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", 0),
        ("no", 1),
        ("No, no, no, no.", 1),
        ("no no no no no no no no", 8),
        ("a b c a b c a b c", 3),
        ("Thank you! Thank you. Thank you, thank you...", 4),
        ("one two three four five six seven eight nine", 1),
    ],
)
def test_repetition_counts_phrases_said_in_a_row(text: str, times: int) -> None:
    assert longest_repetition(text) == times


def test_a_guessed_segment_is_named_with_its_place() -> None:
    (concern,) = judge_window(WINDOW, hypothesis(confidence=-1.2, start=1.0, end=9.0), [WINDOW], THRESHOLDS)
    assert concern == Concern(code="LOW_CONFIDENCE", value=-1.2, start=101.0, end=109.0)


def test_a_guess_at_what_sounds_like_another_language_says_so_for_the_whole_window() -> None:
    given = hypothesis(confidence=-0.9, other_language_probability=0.8, start=1.0, end=9.0)
    *_, concern = judge_window(WINDOW, given, [WINDOW], THRESHOLDS)
    assert codes(given) == ["LOW_CONFIDENCE", "OTHER_LANGUAGE"]
    assert concern == Concern(code="OTHER_LANGUAGE", value=0.8, start=100.0, end=110.0)


def test_an_accent_that_is_understood_is_no_other_language_and_neither_is_a_single_word() -> None:
    assert codes(hypothesis(confidence=-0.2, other_language_probability=0.98)) == []
    assert codes(hypothesis(confidence=-0.9, other_language_probability=0.5)) == ["LOW_CONFIDENCE"]
    word = SpeechSpan(start=100.0, end=100.8)
    concerns = judge_window(
        word, hypothesis("Okay.", confidence=-0.7, end=0.8, other_language_probability=0.8), [word], THRESHOLDS
    )
    assert [concern.code for concern in concerns] == ["LOW_CONFIDENCE"]


def test_more_words_than_anybody_can_say_are_too_fast() -> None:
    text = "this patient " + " ".join(f"word{number}" for number in range(70))
    assert codes(hypothesis(text, compression_ratio=1.5)) == ["TOO_FAST"]


def test_speech_passed_over_is_low_coverage_with_its_place() -> None:
    first = HypothesisSegment(start=0.0, end=4.0, text=SENTENCE, mean_log_probability=-0.2)
    last = dataclasses.replace(first, start=7.0, end=9.5)
    given = dataclasses.replace(hypothesis(), segments=(first, last))
    (concern,) = judge_window(WINDOW, given, [WINDOW], THRESHOLDS)
    assert concern == Concern(code="LOW_COVERAGE", value=3.0, start=104.0, end=107.0)
    assert codes(hypothesis("")) == ["LOW_COVERAGE"]
    assert codes(hypothesis("...")) == ["LOW_COVERAGE"]


def test_a_sentence_whose_times_span_far_more_speech_than_it_takes_is_low_coverage() -> None:
    sentence = "It hurts when I walk."
    (concern,) = judge_window(WINDOW, hypothesis(sentence), [WINDOW], THRESHOLDS)
    assert concern == Concern(code="LOW_COVERAGE", value=10.0, start=100.0, end=110.0)
    pauses = [SpeechSpan(start=100.0, end=102.0), SpeechSpan(start=108.0, end=110.0)]
    assert codes(hypothesis(sentence), pauses) == []


def test_a_pause_needs_no_text() -> None:
    speech = [SpeechSpan(start=95.0, end=103.0), SpeechSpan(start=109.0, end=112.0)]
    assert codes(hypothesis(end=3.0), speech) == []


def test_text_where_nobody_speaks_is_outside_speech() -> None:
    speech = [SpeechSpan(start=100.0, end=104.0)]
    given = hypothesis(end=4.0)
    stray = HypothesisSegment(start=6.0, end=8.0, text="Thank you.", mean_log_probability=-0.4)
    concerns = judge_window(
        WINDOW,
        Hypothesis(
            text="x",
            segments=(*given.segments, stray),
            mean_log_probability=-0.2,
            no_speech_probability=0.0,
            compression_ratio=1.0,
        ),
        speech,
        THRESHOLDS,
    )
    assert [(concern.code, concern.start, concern.end) for concern in concerns] == [("OUTSIDE_SPEECH", 106.0, 108.0)]


def test_a_text_cut_at_the_token_limit_is_truncated() -> None:
    assert codes(hypothesis(truncated=True)) == ["TRUNCATED"]


def test_compression_ratio_is_that_of_whisper() -> None:
    assert compression_ratio("") == 0.0
    assert compression_ratio("ä" * 100) > 10


def test_verdicts() -> None:
    withheld = Concern(code="NOT_SPEECH", value=0.9, start=0, end=1)
    phantom = Concern(code="PHANTOM", value=0.9, start=0, end=1)
    passed_over = Concern(code="LOW_COVERAGE", value=0.0, start=0, end=1)
    assert verdict_on([], has_text=True).kind is VerdictKind.OK
    assert verdict_on([], has_text=False).kind is VerdictKind.NO_SPEECH
    assert verdict_on([withheld], has_text=False).kind is VerdictKind.NO_SPEECH
    assert verdict_on([withheld, phantom], has_text=False).kind is VerdictKind.NO_SPEECH
    assert verdict_on([phantom], has_text=True).kind is VerdictKind.NEEDS_REVIEW
    assert verdict_on([withheld], has_text=True).kind is VerdictKind.NEEDS_REVIEW
    assert verdict_on([passed_over], has_text=False).kind is VerdictKind.NEEDS_REVIEW
