"""Where the number of a dose begins."""

from __future__ import annotations

import pytest

from medasr.lexicon import find, load_lexicon
from medasr.lexicon.doses import dose_start

LEXICON = load_lexicon()


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("Take 500 mg now.", "500 mg"),
        ("Take 500mg now.", "500mg"),
        ("Take 0.5 mg now.", "0.5 mg"),
        ("It was 37.5°, he said.", "37.5°"),
        ("Take 2,000 units.", "2,000 units"),
        ("I take half a tablet.", "half a tablet"),
        ("I take two tablets.", "two tablets"),
        ("Two tablets.", "Two tablets"),
        ("I take one and a half tablets.", "one and a half tablets"),
        ("one hundred and fifty milligrams", "one hundred and fifty milligrams"),
        ("twenty-five milligrams", "twenty-five milligrams"),
        ("take 20 to 30 mg", "20 to 30 mg"),
        ("take 20-30 mg", "20-30 mg"),
        ("take 1/2 tablet", "1/2 tablet"),
        ("I have someone ten tablets brought", "ten tablets"),
        ("My weight is 80 kg.", "80 kg"),
    ],
)
def test_a_dose_begins_with_its_number(text: str, dose: str) -> None:
    (unit,) = [match for match in find(LEXICON, text) if match.category == "unit"]
    assert text[dose_start(text, unit.position) : unit.position + unit.length] == dose


def test_a_unit_without_a_number_stands_alone() -> None:
    assert dose_start("the tablet", 4) == 4


def test_a_text_of_nothing_but_numbers_is_looked_through_only_so_far() -> None:
    text = "1 " * 100_000 + "mg"
    assert len(text) - dose_start(text, len(text) - 2) < 100


@pytest.mark.parametrize("number", ["1/", "1-", "1 - ", "one ", "1.,", "1 to a "])
def test_what_looks_like_a_number_and_ends_otherwise_is_given_up_at_once(number: str) -> None:
    text = number * 40 + "x mg"
    assert dose_start(text, len(text) - 2) == len(text) - 2
