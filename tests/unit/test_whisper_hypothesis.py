"""From a window's tokens to text with times."""

from __future__ import annotations

import pytest

from medasr.types import Hypothesis
from medasr.whisper.alignment import Timing
from medasr.whisper.decoding import DecodedWindow, DecodingTokens
from medasr.whisper.hypothesis import hypothesis_of

END, TIMES = 90, 100
TOKENS = DecodingTokens(
    prefix=(91,),
    end=END,
    no_speech=98,
    no_timestamps=TIMES - 1,
    suppressed=(),
    suppressed_first=(),
    max_initial_timestamp=50,
    limit=20,
)


def at(seconds: float) -> int:
    return TIMES + round(seconds / 0.02)


def written(*tokens: int, seconds: float = 10.0, end: float | None = -0.1) -> Hypothesis:
    """Token 1 is "w1" with log-probability -0.1, token 2 "w2" with -0.2 ...; timestamps are unsure."""
    decoded = DecodedWindow(
        tokens=tokens,
        log_probabilities=tuple(-token / 10 if token < TIMES else -5.0 for token in tokens),
        end_log_probability=end,
        no_speech_probability=0.25,
    )
    return hypothesis_of(decoded, TOKENS, seconds, lambda text: " ".join(f"w{token}" for token in text))


def times(hypothesis: Hypothesis) -> list[tuple[float, float, str]]:
    return [(round(one.start, 2), round(one.end, 2), one.text) for one in hypothesis.segments]


def test_text_between_timestamps_is_a_segment() -> None:
    hypothesis = written(at(0.4), 1, 2, at(3), at(4), 3, at(6.5))
    assert times(hypothesis) == [(0.4, 3.0, "w1 w2"), (4.0, 6.5, "w3")]
    assert hypothesis.text == "w1 w2 w3"


def test_a_single_timestamp_ends_one_segment_and_starts_the_next() -> None:
    assert times(written(at(0), 1, at(3), 2, at(5))) == [(0.0, 3.0, "w1"), (3.0, 5.0, "w2")]


def test_text_after_the_last_timestamp_ends_with_the_window() -> None:
    assert times(written(at(0), 1, at(3), at(3), 2, 3)) == [(0.0, 3.0, "w1"), (3.0, 10.0, "w2 w3")]
    assert times(written(1, 2)) == [(0.0, 10.0, "w1 w2")]


def test_times_lie_within_the_window_although_whisper_always_sees_thirty_seconds() -> None:
    assert times(written(at(0), 1, at(4), at(4), 2, at(29), seconds=3.5)) == [(0.0, 3.5, "w1"), (3.5, 3.5, "w2")]


def test_confidence_is_that_of_the_words_and_their_end_not_of_the_times() -> None:
    hypothesis = written(at(0), 1, 3, at(3), end=-0.5)
    assert hypothesis.segments[0].mean_log_probability == pytest.approx(-0.2)
    assert hypothesis.mean_log_probability == pytest.approx((-0.1 - 0.3 - 0.5) / 3)
    assert hypothesis.no_speech_probability == 0.25


def test_a_text_without_end_was_cut() -> None:
    assert written(at(0), 1, end=None).truncated
    assert not written(at(0), 1).truncated


def test_nothing_written_is_no_text() -> None:
    hypothesis = written(at(0), at(5))
    assert (hypothesis.text, hypothesis.segments, hypothesis.compression_ratio) == ("", (), 0.0)
    assert written().mean_log_probability == -0.1


def test_each_segment_has_its_words_with_their_own_times_if_they_were_timed() -> None:
    decoded = DecodedWindow(
        tokens=(at(0.2), 1, 2, at(1), at(1), 3, at(1.9)),
        log_probabilities=(-0.1,) * 7,
        end_log_probability=-0.1,
        no_speech_probability=0.0,
    )
    timing = Timing(seconds=1.99, firsts=tuple(range(0, 80, 10)), quiet=(False,) * 80)
    segments = hypothesis_of(
        decoded, TOKENS, 1.99, lambda text: "".join(f" w{token}" for token in text), timing
    ).segments
    assert [[(word.start, word.end, word.text) for word in segment.words] for segment in segments] == [
        [(0.2, 0.4, "w1"), (0.4, 0.6, "w2")],
        [(1.0, 1.2, "w3")],
    ]
    assert [segment.text for segment in segments] == ["w1 w2", "w3"]
    assert not any(segment.words for segment in written(at(0), 1, at(3)).segments)
