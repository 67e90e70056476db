"""From what attention says to words with times."""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.types import SAMPLE_RATE, Word
from medasr.whisper.alignment import Timing, alignment_heads, biased_words, quiet_frames, warp, words_of
from medasr.whisper.decoding import DecodedWindow

#: token → its bytes; 8 and 9 are the halves of one character
BYTES = {
    1: b" Take",
    2: b" met",
    3: b"formin",
    4: b",",
    5: b" -",
    6: b" 5",
    7: b" ",
    8: b" \xc2",
    9: b"\xb5g",
    10: b' "',
    11: b"Hello",
    12: b".",
}


def to_text(tokens: list[int]) -> str:
    return b"".join(BYTES[token] for token in tokens).decode(errors="replace")


def words(*tokens: int, values: tuple[float, ...] | None = None, quiet: tuple[int, ...] = ()) -> tuple[Word, ...]:
    """The words of tokens that are said one after the other, 0.2 s each."""
    decoded = DecodedWindow(
        tokens=tokens,
        log_probabilities=values or (-0.1,) * len(tokens),
        end_log_probability=-0.1,
        no_speech_probability=0.0,
    )
    frames = 10 * len(tokens) + 10
    timing = Timing(
        seconds=frames * 0.02,
        firsts=tuple(range(0, frames, 10)),
        quiet=tuple(frame in quiet for frame in range(frames)),
    )
    return words_of(range(len(tokens)), decoded, timing, to_text)


def texts(*tokens: int) -> list[str]:
    return [word.text for word in words(*tokens)]


def test_what_stands_by_itself_between_spaces_counts_as_a_word_where_biased_ones_are_numbered() -> None:
    tokens = (1, 5, 6, 2, 3, 4)
    decoded = DecodedWindow(
        tokens=tokens,
        log_probabilities=(-0.1,) * len(tokens),
        end_log_probability=-0.1,
        no_speech_probability=0.0,
        biased=frozenset({3, 4}),
    )
    assert to_text(list(tokens)).split() == ["Take", "-", "5", "metformin,"]
    assert biased_words(range(len(tokens)), decoded, to_text) == (3,)


class TestWords:
    def test_a_space_begins_a_word(self) -> None:
        assert texts(1, 2, 3, 6) == ["Take", "metformin", "5"]

    def test_punctuation_belongs_to_the_word_before_also_behind_a_space(self) -> None:
        assert texts(1, 2, 3, 4, 5, 6, 12) == ["Take", "metformin, -", "5."]

    def test_a_quotation_mark_belongs_to_the_word_that_it_opens(self) -> None:
        assert texts(1, 10, 11, 12) == ["Take", '"Hello.']

    def test_a_character_may_be_spread_over_tokens(self) -> None:
        assert texts(6, 8, 9) == ["5", "\xb5g"]

    def test_space_alone_is_no_word(self) -> None:
        assert texts(7, 1) == ["Take"]
        assert texts(7) == []

    def test_punctuation_alone_is_what_it_is(self) -> None:
        assert texts(12) == ["."]

    def test_times_are_those_of_what_is_said_not_of_punctuation(self) -> None:
        take, metformin = words(1, 2, 3, 4)
        assert (take.start, take.end) == (0.0, pytest.approx(0.2))
        assert (metformin.start, metformin.end) == (pytest.approx(0.2), pytest.approx(0.6))

    def test_what_is_quiet_at_the_ends_of_a_word_is_not_the_word(self) -> None:
        (take,) = words(1, quiet=(0, 1, 2, 5, 9))
        assert (take.start, take.end) == (pytest.approx(0.06), pytest.approx(0.18))

    def test_a_word_in_silence_keeps_its_time(self) -> None:
        (take,) = words(1, quiet=tuple(range(20)))
        assert (take.start, take.end) == (0.0, pytest.approx(0.2))

    def test_confidence_is_the_geometric_mean_of_what_is_said(self) -> None:
        take, metformin = words(1, 2, 3, 4, values=(0.0, math.log(0.9), math.log(0.4), math.log(0.01)))
        assert take.confidence == 1.0
        assert metformin.confidence == pytest.approx(0.6)

    @given(st.lists(st.sampled_from(sorted(BYTES)), max_size=12))
    def test_words_stand_in_the_text_one_after_the_other_and_so_do_their_times(self, tokens: list[int]) -> None:
        found = words(*tokens)
        text, place = to_text(tokens), 0
        for word in found:
            place = text.index(word.text, place) + len(word.text)
        assert all(one.end <= next_.start for one, next_ in pairwise(found))
        assert all(word.start < word.end for word in found)


def test_times_do_not_exceed_the_window() -> None:
    timing = Timing(seconds=0.39, firsts=(0, 10, 20), quiet=(False,) * 20)
    assert timing.span(1, 1) == (0.2, 0.39)


class TestPath:
    def test_it_follows_what_fits(self) -> None:
        fit = np.zeros((3, 9))
        fit[0, :2] = fit[1, 2:3] = fit[2, 3:] = 1.0
        assert warp(fit) == [0, 2, 3]

    def test_one_row_has_all_columns(self) -> None:
        assert warp(np.zeros((1, 4))) == [0]

    def test_as_many_rows_as_columns_have_one_each(self) -> None:
        assert warp(np.zeros((4, 4))) == [0, 1, 2, 3]

    def test_more_rows_than_columns_find_no_place(self) -> None:
        with pytest.raises(ValueError, match="3 rows"):
            warp(np.zeros((3, 2)))

    @given(st.integers(1, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
    def test_no_other_path_fits_better(self, rows: int, more: int, seed: int) -> None:
        columns = rows + more
        fit = np.random.default_rng(seed).normal(size=(rows, columns))

        def total(firsts: tuple[int, ...]) -> float:
            return sum(fit[row, first:end].sum() for row, (first, end) in enumerate(pairwise((*firsts, columns))))

        firsts = tuple(warp(fit))
        assert firsts[0] == 0
        assert list(firsts) == sorted(set(firsts))
        others = [(0, *rest) for rest in combinations(range(1, columns), rows - 1)]
        assert total(firsts) == pytest.approx(max(map(total, others)))


class TestQuiet:
    def test_what_is_far_below_the_speech_is_quiet(self) -> None:
        window = np.full(SAMPLE_RATE, 1e-4, np.float32)
        window[3200:12800] = 0.1
        quiet = quiet_frames(window, 50)
        assert [frame for frame, value in enumerate(quiet) if not value] == list(range(10, 40))

    def test_in_noise_nothing_is(self) -> None:
        window = np.random.default_rng(1).normal(scale=0.01, size=SAMPLE_RATE).astype(np.float32)
        window[3200:12800] *= 10
        assert not quiet_frames(window, 50).any()

    def test_digital_silence_has_no_loud_frames_to_be_below_of(self) -> None:
        assert not quiet_frames(np.zeros(500, np.float32), 2).any()


def network(heads: list[list[int]] | None) -> SimpleNamespace:
    generation = SimpleNamespace() if heads is None else SimpleNamespace(alignment_heads=heads)
    return SimpleNamespace(
        config=SimpleNamespace(decoder_layers=4, decoder_attention_heads=2), generation_config=generation
    )


class TestHeads:
    def test_those_that_the_model_names_are_taken(self) -> None:
        assert alignment_heads(network([[3, 1], [1, 0], [3, 0]])) == {1: [0], 3: [1, 0]}

    @pytest.mark.parametrize("heads", [None, [], [[4, 0]], [[1, 2]]], ids=["absent", "none", "layer", "head"])
    def test_without_names_that_fit_the_upper_half_is(self, heads: list[list[int]] | None) -> None:
        assert alignment_heads(network(heads)) == {2: [0, 1], 3: [0, 1]}
