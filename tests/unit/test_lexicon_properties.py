"""What holds for every text and every lexicon."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr.lexicon import Lexicon, find, find_terms, load_lexicon, make_lexicon
from medasr.lexicon.file import Term
from medasr.types import Segment

TERMS = [
    Term(term="knee pain", category="symptom", variants=("sore knee", "knee hurts")),
    Term(term="pain", category="symptom"),
    Term(term="knee", category="anatomy"),
    Term(term="X-ray", category="test"),
    Term(term="X-ray of the knee", category="test"),
    Term(term="Crohn's disease", category="condition"),
    Term(term="anemia", category="condition"),
    Term(term="diagnosis", category="test"),
    Term(term="milligram", category="unit", variants=("mg",)),
]
WORDS = """
    knee Knees pain pains sore hurts X x ray xray X-ray of the Crohn's Crohns disease anaemia anemia diagnoses year mg 500 500mg 2.5
    five milligrams a ' - . , é e\u0301 \u0301 % / 5
""".split()  # noqa: SIM905

fragments = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from([" ", " ", "-", ", ", "", "\n", "/"])), max_size=25
)
texts = fragments.map(lambda pieces: "".join(word + gap for word, gap in pieces)) | st.text(max_size=60)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return make_lexicon(TERMS)


@given(text=texts)
def test_the_surface_is_what_stands_at_the_position(lexicon, text):
    for match in find(lexicon, text):
        assert text[match.position : match.position + match.length] == match.surface != ""


@given(text=texts)
def test_matches_are_in_order_and_do_not_overlap(lexicon, text):
    matches = find(lexicon, text)
    for before, after in pairwise(matches):
        assert before.position + before.length <= after.position


@given(text=fragments.map(lambda pieces: "".join(word + gap for word, gap in pieces)))
def test_case_does_not_matter(lexicon, text):
    found = [(match.term, match.position, match.length) for match in find(lexicon, text)]
    for changed in (text.upper(), text.lower(), text.swapcase()):
        assert [(match.term, match.position, match.length) for match in find(lexicon, changed)] == found


@given(text=texts, seed=st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_the_terms_does_not_matter(lexicon, text, seed):
    shuffled = seed.sample(TERMS, k=len(TERMS))
    assert find(make_lexicon(shuffled), text) == find(lexicon, text)


@given(left=texts, right=texts)
def test_what_stands_behind_a_full_stop_does_not_matter(lexicon, left, right):
    apart = find(lexicon, left + " ... ")
    assert find(lexicon, left + " ... " + right)[: len(apart)] == apart


@given(pieces=st.lists(texts.filter(lambda text: text == text.strip()), max_size=6))
def test_hits_lie_within_the_times_and_positions_of_their_segments(lexicon, pieces):
    segments = [
        Segment(
            index=index,
            start=float(index),
            end=index + 0.5,
            text=text,
            mean_log_probability=-0.5,
            no_speech_probability=0.0,
            compression_ratio=1.0,
        )
        for index, text in enumerate(pieces)
    ]
    text = " ".join(pieces)
    for hit in find_terms(lexicon, segments, text):
        segment = segments[hit.segment]
        assert segment.start <= hit.start <= segment.end
        assert hit.start < hit.end <= segments[-1].end
        assert text[hit.position : hit.position + hit.length] == hit.surface


class CountingForms(dict):
    """A table of forms that counts how often it is asked: once for each word a walk visits."""

    visits = 0

    def get(self, key, default=None):
        self.visits += 1
        return super().get(key, default)


def visits(lexicon: Lexicon, text: str) -> int:
    forms = CountingForms(lexicon.index.forms)
    find(replace(lexicon, index=replace(lexicon.index, forms=forms)), text)
    return forms.visits


def invented_terms(count: int) -> list[Term]:
    """``count`` terms of one to three words that look like drugs and syndromes."""
    generator = random.Random(7)
    syllables = ["zor", "blax", "um", "kri", "ve", "tol", "qua", "ny", "per", "ox"]
    names = {
        " ".join("".join(generator.choices(syllables, k=4)) for _ in range(1 + number % 3)) for number in range(count)
    }
    return [Term(term=name, category="condition") for name in sorted(names)]


CONSULTATION = "The knee pain began last year; an X-ray of the left knee showed nothing, she takes 500 mg twice a day. "
HOSTILE = "x-ray-of-the-x-ray-of-the-" * 20


@pytest.mark.parametrize("text", [CONSULTATION, HOSTILE + ". ", "X-ray of the X-ray of the " * 10 + ". "])
def test_the_work_grows_with_the_text_alone(lexicon, text):
    once = visits(lexicon, text)
    assert visits(lexicon, text * 50) <= 50 * once
    assert visits(make_lexicon([*TERMS, *invented_terms(8_000)]), text) <= 2 * once


def test_a_word_is_visited_a_bounded_number_of_times_by_the_shipped_lexicon():
    text = CONSULTATION * 20
    assert visits(load_lexicon(), text) <= 2 * len(text.split())
