"""What holds for the judgement of terms whatever was said and written."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from medasr.lexicon import make_lexicon
from medasr.lexicon.file import Term
from medasr.metrics.alignment import align_words
from medasr.metrics.scores import TermOutcome, TermOutcomeKind
from medasr.metrics.terms import find_occurrences, judge_terms

LEXICON = make_lexicon(
    [
        Term(term="insulin", category="drug", variants=()),
        Term(term="insulin glargine", category="drug", variants=("lantus",)),
        Term(term="chest pain", category="symptom", variants=("pain in the chest",)),
        Term(term="pain", category="symptom", variants=()),
    ]
)
WORDS = st.lists(
    st.sampled_from(["insulin", "glargine", "lantus", "chest", "pain", "in", "the", "i", "have"]),
    min_size=1,
    max_size=12,
)


def judged(said: list[str], written: list[str]) -> Counter[TermOutcomeKind]:
    return Counter(term.kind for term in outcomes(said, written))


def outcomes(said: list[str], written: list[str]) -> tuple[TermOutcome, ...]:
    return judge_terms(LEXICON, said, written, align_words(" ".join(said), " ".join(written)))


@given(WORDS)
def test_what_was_written_as_it_was_said_is_all_correct(said: list[str]) -> None:
    assert set(judged(said, said)) <= {TermOutcomeKind.CORRECT}


@given(WORDS, WORDS)
def test_every_term_of_the_reference_is_judged_once(said: list[str], written: list[str]) -> None:
    found = judged(said, written)
    expected = len(find_occurrences(LEXICON, said))
    assert found[TermOutcomeKind.CORRECT] + found[TermOutcomeKind.MISSED] == expected


@given(WORDS, WORDS)
def test_no_more_is_invented_than_is_written(said: list[str], written: list[str]) -> None:
    assert judged(said, written)[TermOutcomeKind.INVENTED] <= len(find_occurrences(LEXICON, written))


@given(WORDS)
def test_nothing_written_is_all_missed(said: list[str]) -> None:
    assert set(judged(said, [])) <= {TermOutcomeKind.MISSED}


@given(WORDS)
def test_nothing_said_is_all_invented(written: list[str]) -> None:
    assert set(judged([], written)) <= {TermOutcomeKind.INVENTED}


def test_a_longer_name_is_another_drug() -> None:
    assert judged(["take", "insulin", "now"], ["take", "insulin", "glargine", "now"]) == {
        TermOutcomeKind.MISSED: 1,
        TermOutcomeKind.INVENTED: 1,
    }


def test_a_name_and_its_variant_are_the_same() -> None:
    assert judged(["take", "insulin", "glargine"], ["take", "lantus"]) == {TermOutcomeKind.CORRECT: 1}
