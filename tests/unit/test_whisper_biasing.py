"""What the terms of a list earn while a text is written, and which text is taken in the end."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.whisper.biasing import NO_BIAS, START, TermBias, preferred
from medasr.whisper.decoding import DecodedWindow, DecodingTokens

# Tokens below 50 begin a word, those from 50 on go on with one, those from 100 on are times.
HEART, ATTACK, MET, PAIN, OTHER, COMMA = 1, 2, 3, 4, 5, 6
OPROLOL, FORMIN, FUL = 50, 51, 52
WITHIN = frozenset(range(50, 99))
END = 99
TERMS = ([HEART, ATTACK], [MET, OPROLOL, FORMIN], [PAIN], [HEART])
BIAS = TermBias(enumerate(TERMS), WITHIN, weight=1.0, maximum=2.5)
TOKENS = DecodingTokens(
    prefix=(0,),
    end=END,
    no_speech=98,
    no_timestamps=100,
    suppressed=(),
    suppressed_first=(),
    max_initial_timestamp=50,
    limit=20,
)
TIME = TOKENS.timestamp_begin

texts = st.lists(st.sampled_from([HEART, ATTACK, MET, PAIN, OTHER, COMMA, OPROLOL, FORMIN, FUL]), max_size=12)


def earned(*text: int) -> list[float]:
    """What a text has earned after each of its tokens."""
    states = list(accumulate(text, BIAS.advance, initial=START))
    return [BIAS.earned(state) for state in states[1:]]


def written(*tokens: int, each: float = -0.1, end: float | None = -0.1) -> DecodedWindow:
    return DecodedWindow(
        tokens=tokens,
        log_probabilities=(each,) * len(tokens),
        end_log_probability=end,
        no_speech_probability=0.0,
    )


class TestWhatTermsEarn:
    def test_a_term_earns_with_every_token_up_to_the_maximum(self) -> None:
        assert earned(MET, OPROLOL, FORMIN, END) == [1.0, 2.0, 2.5, 2.5]

    def test_the_beginning_of_a_term_alone_earns_nothing(self) -> None:
        assert earned(MET, OPROLOL, OTHER) == [1.0, 2.0, 0.0]
        assert earned(MET, END) == [1.0, 0.0]

    def test_a_term_as_a_part_of_a_longer_word_earns_nothing(self) -> None:
        assert earned(PAIN, FUL, OTHER) == [1.0, 0.0, 0.0]

    def test_a_term_before_punctuation_is_complete(self) -> None:
        assert earned(PAIN, COMMA, OTHER) == [1.0, 1.0, 1.0]

    def test_in_the_middle_of_a_word_no_term_begins(self) -> None:
        assert earned(OTHER, OPROLOL, FORMIN) == [0.0, 0.0, 0.0]

    def test_a_term_keeps_what_it_earned_where_a_longer_one_is_left(self) -> None:
        assert earned(HEART, OTHER) == [1.0, 1.0]
        assert earned(HEART, ATTACK, FUL, OTHER) == [1.0, 2.0, 1.0, 1.0]

    def test_what_leaves_one_term_may_begin_another(self) -> None:
        assert earned(MET, PAIN, END) == [1.0, 1.0, 1.0]
        assert earned(PAIN, HEART, ATTACK) == [1.0, 2.0, 3.0]

    @given(texts)
    def test_in_the_end_a_text_has_earned_what_its_complete_terms_are_worth(self, text: list[int]) -> None:
        worth = sum(found.bonus for found in BIAS.find(text))
        assert earned(*text, END)[-1] == pytest.approx(worth)

    @given(texts)
    def test_what_is_found_are_terms_that_stand_as_words_of_their_own(self, text: list[int]) -> None:
        for found in BIAS.find(text):
            assert text[found.first : found.last + 1] == TERMS[found.term]
            assert (*text, END)[found.last + 1] not in WITHIN
            assert found.bonus <= 2.5

    @given(texts)
    def test_without_a_list_nothing_is_earned(self, text: list[int]) -> None:
        state = START
        for token in text:
            state = NO_BIAS.advance(state, token)
            assert NO_BIAS.earned(state) == 0.0
        assert not NO_BIAS
        assert NO_BIAS.starting == NO_BIAS.going_on(state.node) == {}

    @given(texts)
    def test_the_gains_are_what_a_text_has_more_than_one_that_goes_another_way(self, text: list[int]) -> None:
        state = START
        for token in text:
            state = BIAS.advance(state, token)
        elsewhere = BIAS.earned(BIAS.advance(state, COMMA))
        for token, gain in (BIAS.starting | BIAS.going_on(state.node)).items():
            if token not in WITHIN:
                assert BIAS.earned(BIAS.advance(state, token)) - elsewhere == pytest.approx(gain)


def test_a_term_that_begins_within_the_abandoned_beginning_of_another_is_found() -> None:
    acute, kidney, injury, stones = 11, 12, 13, 14
    bias = TermBias(enumerate(([acute, kidney, injury], [kidney, stones])), WITHIN, weight=1.0, maximum=4.0)
    assert [found.term for found in bias.find([acute, kidney, stones])] == [1]
    plain, biased = written(acute, kidney, stones), written(acute, kidney, injury, each=-0.2)
    assert preferred(plain, biased, bias, TOKENS) == plain


class TestWhichTextIsTaken:
    def test_that_with_more_terms_where_they_outweigh_what_the_text_is_less_likely(self) -> None:
        plain, biased = written(OTHER, COMMA), written(PAIN, COMMA, each=-0.4)
        assert preferred(plain, biased, BIAS, TOKENS).tokens == biased.tokens

    def test_the_likelier_one_where_they_do_not(self) -> None:
        plain, biased = written(OTHER, COMMA), written(PAIN, COMMA, each=-0.7)
        assert preferred(plain, biased, BIAS, TOKENS) is plain

    def test_its_log_probabilities_stay_the_model_s(self) -> None:
        taken = preferred(written(OTHER, COMMA), written(PAIN, COMMA, each=-0.4), BIAS, TOKENS)
        assert taken.log_probabilities == (-0.4, -0.4)

    def test_the_words_that_are_other_ones_are_marked_whole_and_no_times(self) -> None:
        plain = written(TIME, OTHER, FUL, OTHER, PAIN, TIME + 9)
        biased = written(TIME + 1, OTHER, FUL, MET, OPROLOL, FORMIN, PAIN, TIME + 8)
        taken = preferred(plain, biased, BIAS, TOKENS)
        assert taken.biased == {3, 4, 5}

    def test_without_a_term_more_nothing_is_taken_however_likely(self) -> None:
        plain = written(OTHER, PAIN, each=-1.0)
        assert preferred(plain, written(COMMA, PAIN), BIAS, TOKENS) is plain

    def test_no_term_is_given_up_for_another(self) -> None:
        plain = written(OTHER, PAIN)
        assert preferred(plain, written(OTHER, MET, OPROLOL, FORMIN), BIAS, TOKENS) is plain

    def test_no_term_is_added_beside_the_words_that_are_there(self) -> None:
        plain = written(OTHER, COMMA)
        assert preferred(plain, written(OTHER, PAIN, COMMA), BIAS, TOKENS) is plain

    def test_a_text_without_an_end_is_not_taken(self) -> None:
        plain = written(OTHER, COMMA)
        assert preferred(plain, written(PAIN, COMMA, end=None), BIAS, TOKENS) is plain
