"""A change of rules is a new version: scores under the old one must not be compared with scores under the new."""

from __future__ import annotations

import hashlib

import pytest

from medasr.text.normalizers import text_normalizer

#: Phrases of our own; add some only together with a new version.
PHRASES = (
    "Take 20mg of atorvastatin twice a day.", "Five hundred milligrams of metformin.", "Her BP is 120/80 mmHg.",
    "I've had a temp of 38.5 degrees.", "Oh, it hurts.", "Room 4 oh 2.", "Okay, mum.", "He's allergic to penicillin.",
    "She can't breathe.", "It is 7.30 p.m.", "2.5 mL every 4-6 hours.", "type II diabetes", "Type 2 diabetes mellitus",
    "one hundred and twenty over eighty", "a half tablet", "He lost ten percent of his weight.", "10 % saline",
    "The X-ray was clear.", "follow-up in 2 weeks", "B12 deficiency", "vitamin B 12", "COVID-19", "T4 and TSH",
    "my mom's doctor", "colour and haemoglobin", "diarrhoea since Monday", "ear ache", "ear-ache", "earache",
    "first aid", "the 1st of May", "twenty-one", "twenty one", "0.5 mg", ".5 mg", "zero point five milligrams",
    "1,000 units", "1000 IU", "mcg", "micrograms", "μg", "mg/kg", "milligrams per kilogram", "Dr. Smith", "doctor Smith",
    "um, I feel, uh, dizzy", "gonna faint", "I will not", "I won't", "[cough] sorry", "(laughs) yes", "naïve café",
    "co-codamol 30/500", "Z-pack", "St. John's wort", "q.i.d.", "b.i.d.", "PRN", "O2 sats 98%", "$20", "50 cents",
    "I lost twenty pounds.", "She weighs 140 lbs.", "£5.50", "$20 million",
    "1.5 L", "0.1 mcg", "1 g", "one of my knees", "2½ mg", "10⁹", "≥ 65", "2+ edema", "salt & sugar", "a hundred", "Type I or type II",
    "stage IV", "factor V Leiden", "it's been", "I dont know", "at 7:30", "1:10", "the 3rd", "thirty first", "two two milligram tablets",
    "3x a day", "4 hrs", "kg/m²", "6'2\"",
)  # fmt: skip

FROZEN = {
    "seed/1": "09a0c5e7a3c13f9f",
    "whisper-en/1": "e9670e86072f6a73",
    "clinical-en/1": "9f78e1bd16a9edd4",
}


@pytest.mark.parametrize(("name", "expected"), FROZEN.items())
def test_rules_do_not_change_within_a_version(name: str, expected: str) -> None:
    normalizer = text_normalizer(name)
    texts = "\n".join(normalizer(phrase) for phrase in PHRASES)
    assert hashlib.sha256(texts.encode()).hexdigest()[:16] == expected, "give the new rules a new version"


def test_every_version_is_frozen() -> None:
    assert {text_normalizer(name.split("/")[0]).id for name in FROZEN} == set(FROZEN)


@pytest.mark.parametrize("name", ["seed", "clinical-en"])  # Whisper's own does not promise it
def test_normalizing_twice_changes_nothing_more(name: str) -> None:
    normalizer = text_normalizer(name)
    assert [normalizer(normalizer(phrase)) for phrase in PHRASES] == [normalizer(phrase) for phrase in PHRASES]
