"""Which texts are doubted, and which of two is taken."""

from __future__ import annotations

import math

import pytest

from medasr.whisper.beams import is_doubtful, likelier
from medasr.whisper.decoding import DecodedWindow
from tests.unit.test_whisper_hypothesis import TOKENS, at

LIKELY, UNLIKELY = math.log(0.6), math.log(0.4)


def decoded(*values: float, times: float = -0.1, end: float | None = -0.1) -> DecodedWindow:
    """Words with these log-probabilities between two times."""
    return DecodedWindow(
        tokens=(at(0), *range(1, len(values) + 1), at(3)),
        log_probabilities=(times, *values, times),
        end_log_probability=end,
        no_speech_probability=0.1,
    )


class TestDoubt:
    def test_a_text_each_word_of_which_is_likelier_than_all_else_is_not_doubted(self) -> None:
        assert not is_doubtful(decoded(LIKELY, LIKELY), TOKENS)

    @pytest.mark.parametrize(
        "window",
        [decoded(LIKELY, UNLIKELY), decoded(LIKELY, end=UNLIKELY), decoded(LIKELY, end=None)],
        ids=["a word", "the end", "no end"],
    )
    def test_one_that_is_less_likely_is_enough(self, window: DecodedWindow) -> None:
        assert is_doubtful(window, TOKENS)

    def test_times_say_nothing(self) -> None:
        assert not is_doubtful(decoded(LIKELY, times=-5.0), TOKENS)

    def test_nothing_written_is_doubted_when_the_end_was_unlikely(self) -> None:
        assert not is_doubtful(decoded(end=LIKELY), TOKENS)
        assert is_doubtful(decoded(end=UNLIKELY), TOKENS)


class TestChoice:
    def test_the_text_whose_words_and_end_are_likelier_on_average_is_taken(self) -> None:
        first, longer = decoded(-0.5), decoded(-0.3, -0.3, -0.3)
        assert likelier(first, longer, TOKENS) == longer
        assert likelier(longer, first, TOKENS) == longer

    def test_of_two_alike_the_first_stays(self) -> None:
        first, second = decoded(-0.5, times=-0.1), decoded(-0.5, times=-2.0)
        assert likelier(first, second, TOKENS) is first

    def test_a_text_without_an_end_is_never_preferred(self) -> None:
        endless, ended = decoded(-0.1, end=None), decoded(-2.0)
        assert likelier(ended, endless, TOKENS) == ended
        assert likelier(endless, ended, TOKENS) == ended
