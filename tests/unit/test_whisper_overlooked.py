"""Segments whose text is too short for their time, and what comes in their place."""

from __future__ import annotations

import numpy as np
import pytest

from medasr.types import SAMPLE_RATE
from medasr.whisper.decoding import DecodedWindow
from medasr.whisper.overlooked import SparseSegment, quietest, rewritten, sparse_segment
from tests.unit.test_whisper_continuation import decoded
from tests.unit.test_whisper_hypothesis import TOKENS, at

WORDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)


class TestSparse:
    def test_a_sentence_that_lasts_most_of_a_window_is_sparse(self) -> None:
        found = sparse_segment(decoded(at(0), *WORDS, at(5), at(6), 1, 2, 3, at(22)), TOKENS, 24.0)
        assert found is not None
        assert (found.first, found.last) == (14, 18)
        assert (found.start, found.end) == (pytest.approx(6.0), pytest.approx(22.0))

    @pytest.mark.parametrize(
        "window",
        [
            decoded(at(0), *WORDS, at(8)),
            decoded(at(0), 1, at(5)),
            decoded(at(0), 1, 2, 3, at(2), at(12), 4, 5, at(14)),
            decoded(at(0), at(9)),
            decoded(at(0), 1),
            decoded(),
        ],
        ids=["words enough", "short", "a pause between sentences", "no words", "no end", "nothing"],
    )
    def test_otherwise_none_is(self, window: DecodedWindow) -> None:
        assert sparse_segment(window, TOKENS, 24.0) is None

    def test_the_silence_that_fills_a_window_up_is_nobodys_time(self) -> None:
        assert sparse_segment(decoded(at(0), 1, at(29)), TOKENS, 3.0) is None
        assert sparse_segment(decoded(at(0), *WORDS, at(3), at(3), 1, 2, at(29)), TOKENS, 3.5) is None
        found = sparse_segment(decoded(at(0), 1, at(29)), TOKENS, 8.0)
        assert found is not None
        assert (found.start, found.end) == (0.0, 8.0)


def test_a_waveform_is_cut_in_the_pause_nearest_to_silence_of_its_middle_half() -> None:
    chance = np.random.default_rng(0)
    waveform = chance.normal(0, 0.1, 10 * SAMPLE_RATE).astype(np.float32)
    for start, end, level in ((0.5, 1.0, 0.0), (4.0, 4.3, 0.05), (6.0, 6.4, 0.01)):
        waveform[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] *= level
    assert quietest(waveform) / SAMPLE_RATE == pytest.approx(6.2, abs=0.12)


class TestRewriting:
    WINDOW = decoded(at(0), 1, 2, at(2), at(2), 3, 4, at(12), at(12), 5, at(14))
    SEGMENT = SparseSegment(first=4, last=7, start=2.0, end=12.0)

    def test_pieces_take_the_place_of_a_segment_with_times_of_the_whole_window(self) -> None:
        pieces = [(2.0, decoded(at(0), 6, 7, at(4), value=-0.3)), (7.0, decoded(at(0), 3, 4, at(5), value=-0.2))]
        text = rewritten(self.WINDOW, self.SEGMENT, pieces, TOKENS)
        assert text.tokens == (
            *(at(0), 1, 2, at(2)),
            *(at(2), 6, 7, at(6), at(7), 3, 4, at(12)),
            *(at(12), 5, at(14)),
        )
        assert text.log_probabilities == (-0.1,) * 4 + (-0.3,) * 4 + (-0.2,) * 4 + (-0.1,) * 3

    def test_places_of_biased_words_move_along(self) -> None:
        window = DecodedWindow(
            tokens=self.WINDOW.tokens,
            log_probabilities=self.WINDOW.log_probabilities,
            end_log_probability=-0.1,
            no_speech_probability=0.1,
            biased=frozenset({1, 5, 9}),
        )
        piece = DecodedWindow(
            tokens=(at(0), 6, 7, 8, at(4)),
            log_probabilities=(-0.1,) * 5,
            end_log_probability=-0.1,
            no_speech_probability=0.1,
            biased=frozenset({2}),
        )
        text = rewritten(window, self.SEGMENT, [(2.0, piece)], TOKENS)
        assert [text.tokens[place] for place in sorted(text.biased)] == [1, 7, 5]

    def test_no_time_is_later_than_the_end_of_the_segment(self) -> None:
        pieces = [(2.0, decoded(at(0), 6, 7, at(4))), (7.0, decoded(at(0), 3, 4, at(9)))]
        text = rewritten(self.WINDOW, self.SEGMENT, pieces, TOKENS)
        assert text.tokens[4:12] == (at(2), 6, 7, at(6), at(7), 3, 4, at(12))

    def test_nothing_is_given_up_for_a_piece_that_the_model_is_sure_of_while_it_guesses_at_another(self) -> None:
        pieces = [(2.0, decoded(at(0), 6, 7, 8, 9, at(4))), (7.0, decoded(at(0), 3, 4, at(5), value=-1.0))]
        assert rewritten(self.WINDOW, self.SEGMENT, pieces, TOKENS) == self.WINDOW

    @pytest.mark.parametrize(
        "piece", [decoded(at(0), 6, 7, 8, at(4), value=-1.0), decoded(at(0), 6, 7, at(4)), decoded()]
    )
    def test_guesses_and_what_is_no_longer_do_not(self, piece: DecodedWindow) -> None:
        assert rewritten(self.WINDOW, self.SEGMENT, [(2.0, piece)], TOKENS) == self.WINDOW
