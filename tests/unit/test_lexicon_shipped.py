"""What the shipped lexicon promises about its content."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from medasr.lexicon import find, load_lexicon
from medasr.lexicon.file import CATEGORIES, form_key
from medasr.lexicon.index import build_index
from medasr.lexicon.matching import SHIPPED

#: Common English that patients and doctors say without meaning anything medical.
EVERYDAY = """
    able accident air answer apartment apple arrive ask aunt baby ball bath beach beautiful beer bike bird birthday black
    blue boat book bottle box boy bread break breakfast bring brother brown build bun bus busy buy call camera card care carry
    cat catch chair change cheap check cheese child choose church city class clean clear climb clock close clothes coffee
    cold color computer cook corner country cousin cream cross cup dance dark daughter dead dear decide deep dinner dog door
    draw dream dress drink drive dry early earth east easy egg empty end enough enter evening example exercise expensive
    explain fall far farm fast father feed fish fit floor fly follow forget friend front fruit game garden gas girl glass
    gold grass green ground group grow guess guy half hate healthy hear heat heavy high hill hit hold holiday horse house
    husband ice idea important interesting kitchen lady lake language late laugh learn letter light listen live lose loud
    love lunch machine mail market marry matter meat meet milk mind mother mountain movie music newspaper noise north office
    open orange order paint paper park party pay pen pencil phone picture piece plan plane plant play police poor power
    pretty price quick quiet radio rain read ready red remember rest rice rich ride ring river road room run sad safe salt
    sand save school sea season seat sell send serious shirt shoe shop short show shower sick side sign simple sing sister
    sky slow small smile snow soap son song sorry south speak spend sport spring stairs stand star station stay store story
    street strong student sugar summer sun swim table tall taste tea teach team test think throw ticket tie train travel
    tree trip trouble true type ugly uncle understand unit visit voice wait wall warm wash watch wear weather wet white wife
    wind window winter wish word world worried worry write wrong yellow young
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def lexicon():
    return load_lexicon()


def test_it_covers_every_category_with_enough_terms(lexicon):
    counts = Counter(term.category for term in lexicon.terms)
    assert set(counts) == set(CATEGORIES)
    assert counts.total() >= 2_000
    assert min(counts["symptom"], counts["anatomy"], counts["condition"], counts["drug"]) >= 300
    assert min(counts["procedure"], counts["test"]) >= 200
    assert counts["unit"] >= 50


def test_it_is_sorted_by_category_then_term():
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        rows = [(row["category"], row["term"].casefold(), row["term"]) for row in csv.DictReader(file)]
    assert rows == sorted(rows)


def test_no_two_terms_share_a_form_after_normalization(lexicon):
    owners: dict[str, str] = {}
    for term in lexicon.terms:
        for key in {form_key(form) for form in (term.term, *term.variants)}:
            assert owners.setdefault(key, term.term) == term.term


def test_no_plural_or_spelling_of_one_drug_is_another_drug(lexicon):
    owners: dict[str, str] = {}
    for drug in (term for term in lexicon.terms if term.category == "drug"):
        for key, form in build_index([drug]).forms.items():
            if form.term >= 0:
                assert owners.setdefault(key, drug.term) == drug.term


def test_every_form_finds_its_own_term(lexicon):
    for term in lexicon.terms:
        for form in (term.term, *term.variants):
            text = f"2 {form}" if term.category == "unit" else f"well {form}"
            assert [match.term for match in find(lexicon, text)] == [term.term], form


@pytest.mark.parametrize("word", EVERYDAY)
def test_everyday_words_are_not_terms(lexicon, word):
    assert find(lexicon, f"the {word} and two") == []


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("I get short of breath on the stairs", ["breathlessness"]),
        ("my heart is racing and I feel dizzy", ["fast heartbeat", "dizziness"]),
        ("blurry vision since Monday", ["blurred vision"]),
        ("my hair is falling out", ["hair loss"]),
        ("a sore throat and a runny nose", ["sore throat", "runny nose"]),
        ("metformin 500 mg twice a day", ["metformin", "milligram"]),
        ("two puffs of Ventolin", ["puff", "salbutamol"]),
        ("her blood pressure is 140 over 90", ["blood pressure"]),
        ("we will book an MRI of the knee", ["MRI of the knee"]),
        ("he had his appendix out", ["appendectomy"]),
        ("high blood pressure and high cholesterol", ["high blood pressure", "high cholesterol"]),
        ("I have a cold", ["common cold"]),
        ("it was cold outside", []),
    ],
)
def test_consultation_phrases(lexicon, text, terms):
    assert [match.term for match in find(lexicon, text)] == terms
