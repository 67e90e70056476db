"""Other ways to write a medical word."""

from __future__ import annotations

import pytest

from medasr.lexicon.inflection import plurals, spellings


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("haemorrhage", "hemorrhage"),
        ("hypoxaemia", "hypoxemia"),
        ("gastrooesophageal", "gastroesophageal"),
        ("paediatric", "pediatric"),
        ("gynaecology", "gynecology"),
        ("dyspnoea", "dyspnea"),
        ("behavioural", "behavioral"),
        ("sulphasalazine", "sulfasalazine"),
        ("fibres", "fibers"),
        ("hospitalised", "hospitalized"),
        ("paralysed", "paralyzed"),
        ("aetiology", "etiology"),
    ],
)
def test_spelling_works_both_ways(british, american):
    assert american in spellings(british)
    assert british in spellings(american)


@pytest.mark.parametrize(
    "word", ["chemotherapy", "toe", "laboratory", "colorectal", "four", "rise", "pneumonia", "poem"]
)
def test_words_that_only_look_british_or_american_have_one_spelling(word):
    assert spellings(word) == (word,)


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("headache", "headaches"),
        ("rash", "rashes"),
        ("allergy", "allergies"),
        ("x-ray", "x-rays"),
        ("diagnosis", "diagnoses"),
        ("vertebra", "vertebrae"),
        ("thrombus", "thrombi"),
        ("diverticulum", "diverticula"),
        ("carcinoma", "carcinomata"),
        ("appendix", "appendices"),
        ("phalanx", "phalanges"),
        ("foot", "feet"),
        ("ganglion", "ganglia"),
    ],
)
def test_plurals(word, plural):
    assert plural in plurals(word)


def test_what_is_plural_already_or_no_word_has_no_plural():
    assert plurals("hives") == plurals("piles") == plurals("19") == ()


def test_names_of_drugs_have_no_latin_plural():
    assert plurals("valium", classical=False) == ("valiums",)
