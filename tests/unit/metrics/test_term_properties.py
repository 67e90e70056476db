"""What holds for the judgement of terms whatever was said and written."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from medasr.lexicon import make_lexicon
from medasr.lexicon.file import Term
from medasr.metrics.alignment import Stretch, align_words
from medasr.metrics.scores import Edit, TermOutcome, TermOutcomeKind
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


@given(WORDS, WORDS)
def test_who_is_the_reference_decides_what_is_missed_and_what_is_invented(one: list[str], other: list[str]) -> None:
    alignment = align_words(" ".join(one), " ".join(other))
    swapped = [
        Stretch(
            edit={Edit.INSERT: Edit.DELETE, Edit.DELETE: Edit.INSERT}.get(stretch.edit, stretch.edit),
            reference=stretch.hypothesis,
            hypothesis=stretch.reference,
        )
        for stretch in alignment
    ]
    there = Counter(term.kind for term in judge_terms(LEXICON, one, other, alignment))
    back = Counter(term.kind for term in judge_terms(LEXICON, other, one, swapped))
    assert there[TermOutcomeKind.MISSED] == back[TermOutcomeKind.INVENTED]
    assert there[TermOutcomeKind.INVENTED] == back[TermOutcomeKind.MISSED]


@given(WORDS, WORDS, st.integers(min_value=1, max_value=4))
def test_babble_behind_the_rest_changes_nothing(said: list[str], written: list[str], count: int) -> None:
    alignment = align_words(" ".join(said), " ".join(written))
    end = len(written)
    babble = Stretch(edit=Edit.INSERT, reference=range(len(said), len(said)), hypothesis=range(end, end + count))
    before = judge_terms(LEXICON, said, written, alignment)
    after = judge_terms(LEXICON, said, [*written, *["blah"] * count], [*alignment, babble])
    assert [(term.term, term.kind) for term in after] == [(term.term, term.kind) for term in before]


@given(WORDS, st.integers(min_value=0, max_value=4))
def test_all_that_was_said_and_babble_is_all_correct(said: list[str], count: int) -> None:
    assert set(judged(said, [*said, *["blah"] * count])) <= {TermOutcomeKind.CORRECT}


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


def test_a_term_written_twice_and_said_once_is_invented_once() -> None:
    assert judged(["the", "pain"], ["pain", "pain"]) == {TermOutcomeKind.CORRECT: 1, TermOutcomeKind.INVENTED: 1}


def test_a_recognized_term_is_not_taken_for_its_neighbour() -> None:
    said, written = ["insulin", "lantus"], ["insulin", "glargine", "lantus"]
    assert [(term.reference, term.hypothesis, str(term.kind)) for term in outcomes(said, written)] == [
        ("insulin", "insulin glargine", "missed"),
        ("lantus", "lantus", "correct"),
        ("insulin", "insulin glargine", "invented"),
    ]
