"""When a window's text ended before its speech did, and what becomes of the rest."""

from __future__ import annotations

import pytest

from medasr.whisper.continuation import UNHEARD_SECONDS, continued, is_sure, unheard_from
from medasr.whisper.decoding import DecodedWindow
from tests.unit.test_whisper_hypothesis import END, TOKENS, at


def decoded(*tokens: int, value: float = -0.1, end: float | None = -0.1, no_speech: float = 0.1) -> DecodedWindow:
    return DecodedWindow(
        tokens=tokens,
        log_probabilities=(value,) * len(tokens),
        end_log_probability=end,
        no_speech_probability=no_speech,
    )


class TestUnheard:
    def test_a_text_that_ends_long_before_its_window_leaves_the_rest_unheard(self) -> None:
        assert unheard_from(decoded(at(0), 1, 2, at(8)), TOKENS, 24.0) == pytest.approx(8.0)

    @pytest.mark.parametrize(
        "window",
        [
            decoded(at(0), 1, 2, at(24 - UNHEARD_SECONDS)),
            decoded(at(0), 1, at(8), at(8), 2),
            decoded(1, 2),
            decoded(at(0), 1, at(8), end=None),
            decoded(at(0), at(8)),
            decoded(),
        ],
        ids=["ends late enough", "last words up to the end", "no times", "cut off", "no words", "nothing"],
    )
    def test_otherwise_nothing_is_unheard(self, window: DecodedWindow) -> None:
        assert unheard_from(window, TOKENS, 24.0) is None


class TestTrust:
    def test_words_that_the_model_is_sure_of_are_taken(self) -> None:
        assert is_sure(decoded(at(0), 1, 2, at(3)), TOKENS)

    @pytest.mark.parametrize(
        "window",
        [
            decoded(at(0), 1, 2, at(3), value=-1.0),
            decoded(at(0), 1, 2, at(3), no_speech=0.9),
            decoded(at(0), 1, 2, end=None),
            decoded(at(0), at(3)),
            decoded(),
        ],
        ids=["guesses", "no speech", "cut off", "only times", "nothing"],
    )
    def test_guesses_are_not(self, window: DecodedWindow) -> None:
        assert not is_sure(window, TOKENS)


def test_the_rest_is_added_with_times_of_the_whole_window() -> None:
    first = decoded(at(0), 1, at(8), no_speech=0.2)
    whole = continued(first, decoded(at(0.5), 2, at(3), end=-0.7), TOKENS, 8.0)
    assert whole.tokens == (at(0), 1, at(8), at(8.5), 2, at(11))
    assert len(whole.log_probabilities) == 6
    assert (whole.end_log_probability, whole.no_speech_probability) == (-0.7, 0.2)
    assert END not in whole.tokens


def test_a_rest_that_ends_in_the_silence_after_it_ends_with_the_window() -> None:
    whole = continued(decoded(at(0), 1, at(16)), decoded(at(0), 2, at(14.5)), TOKENS, start=16.0)
    assert whole.tokens == (at(0), 1, at(16), at(16), 2, at(30))
