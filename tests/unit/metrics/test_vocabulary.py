"""A lexicon in a normalizer's words: every term can still be found, none becomes another."""

from __future__ import annotations

import pytest

from medasr.lexicon import find, load_lexicon, make_lexicon
from medasr.lexicon.file import Term
from medasr.metrics.vocabulary import normalize_lexicon, unreachable_terms
from medasr.text.normalizers import text_normalizer

CLINICAL = text_normalizer("clinical-en")


def test_every_term_that_we_ship_is_found_in_normalized_texts() -> None:
    lost = unreachable_terms(load_lexicon(()), CLINICAL)
    assert [one.term for one in lost] == []


@pytest.mark.parametrize("name", ["whisper-en", "seed"])
def test_what_other_normalizers_lose_is_listed_with_a_reason(name: str) -> None:
    lost = unreachable_terms(load_lexicon(()), text_normalizer(name))
    assert all(one.reason for one in lost)
    assert len({one.term for one in lost}) < 100


def test_a_term_that_the_normalizer_changes_is_found_in_its_words() -> None:
    lexicon = make_lexicon([Term(term="can't breathe", category="symptom", variants=())])
    adapted = normalize_lexicon(lexicon, CLINICAL)
    said = CLINICAL("I can't breathe.")
    assert [match.term for match in find(adapted, said)] == ["can't breathe"]


def test_a_term_that_vanishes_is_listed() -> None:
    lexicon = make_lexicon([Term(term="fever", category="symptom", variants=())])
    (lost,) = unreachable_terms(lexicon, lambda text: text.replace("fever", ""))
    assert (lost.term, lost.normalized) == ("fever", "")
    assert "nothing is left" in lost.reason


def test_two_terms_that_become_one_are_listed_and_stay_apart() -> None:
    lexicon = make_lexicon(
        [
            Term(term="hot flush", category="symptom", variants=()),
            Term(term="hot flash", category="symptom", variants=()),
        ]
    )

    def american(text: str) -> str:
        return text.replace("flush", "flash")

    (lost,) = unreachable_terms(lexicon, american)
    assert lost.term == "hot flush"
    assert "hot flash" in lost.reason
