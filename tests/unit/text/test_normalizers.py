"""What counts as the same clinical text, as a table: the rules are read here first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr.errors import ConfigurationError
from medasr.lexicon import find, load_lexicon
from medasr.text.normalizers import NORMALIZERS, text_normalizer
from medasr.text.notebook import normalize_transcription

CLINICAL = text_normalizer("clinical-en")

EQUAL = [
    ("twenty five milligrams", "25 mg"),
    ("25mg", "25 mg"),
    ("25 Milligrams.", "25mg"),
    ("fifty micrograms", "50 mcg"),
    ("50µg", "50 mcg"),
    ("50 ug", "50 mcg"),
    ("five hundred mg", "500 mg"),
    ("1,000 mg", "one thousand milligrams"),
    ("zero point five ml", "0.5 mL"),
    (".5 ml", "0.5 millilitres"),
    ("5.0 mg", "5 mg"),
    ("two litres", "2 l"),
    ("twenty millimeters", "20mm"),
    ("ten percent", "10%"),
    ("120/80", "one hundred and twenty over eighty"),
    ("120 mmHg", "120 mm Hg"),
    ("38.5 °C", "38.5 degrees Celsius"),
    ("72 bpm", "seventy two beats per minute"),
    ("5-10 mg", "5 to 10 mg"),
    ("10 mg/kg", "10 mg per kg"),
    ("haemoglobin", "hemoglobin"),
    ("oedema of the oesophagus", "edema of the esophagus"),
    ("anaemia", "anemia"),
    ("diarrhoea", "diarrhea"),
    ("dyspnoea", "dyspnea"),
    ("leukaemia", "leukemia"),
    ("paediatric", "pediatric"),
    ("my tumour", "my tumor"),
    ("X-ray", "x ray"),
    ("follow-up", "follow up"),
    ("E C G", "ECG"),
    ("E.C.G.", "ecg"),
    ("B P", "bp"),
    ("Crohn's disease", "Crohns disease"),
    ("Graves’ disease", "Graves disease"),
    ("I don't feel well", "I do not feel well"),
    ("I can’t breathe", "i cannot breathe"),
    ("it's swollen", "it is swollen"),
    ("ok", "okay"),
    ("my mum", "my mom"),
    ("alright", "all right"),
    ("um it hurts", "it hurts"),
    ("it, uh, hurts", "It hurts."),
    ("Dr. Smith", "doctor Smith"),
    ("fièvre", "fievre"),
    ("  a   headache ", "a headache"),
    ("-5", "minus 5"),
    ("a herniated disk", "a herniated disc"),
    ("I can not sleep", "I can't sleep"),
    ("two grams", "2g"),
]
DIFFERENT = [
    ("5 mg", "50 mg"),
    ("0.5 mg", "5 mg"),
    ("0.5 mg", "0.05 mg"),
    ("5 mg", "5 mcg"),
    ("5 mg", "5 g"),
    ("20 mm", "20"),
    ("20 mm", "20 cm"),
    ("no pain", "pain"),
    ("without fever", "fever"),
    ("I do not smoke", "I do smoke"),
    ("oh no", "0 no"),
    ("ST elevation", "saint elevation"),
    ("hypertension", "hypotension"),
    ("left knee", "right knee"),
    ("10%", "10"),
    ("120/80", "12080"),
    ("38 °C", "38 °F"),
    ("clonidine", "clonazepam"),
    ("(no) fever", "fever"),
    ("-5", "5"),
    ("hydroxyzine", "hydralazine"),
    ("twice a day", "once a day"),
]


class TestClinicalNormalizer:
    @pytest.mark.parametrize(
        ("text", "normalized"),
        [
            ("HbA1c", "hba1c"),
            ("interferon beta-1a", "interferon beta 1a"),
            ("first aid", "first aid"),
            ("a TENS machine", "a tens machine"),
            ("CA 19-9", "ca 19 9"),
            ("Gram stain", "gram stain"),
            ("vitamin B12", "vitamin b12"),
        ],
    )
    def test_names_keep_their_digits_and_words(self, text: str, normalized: str) -> None:
        assert CLINICAL(text) == normalized

    def test_no_term_of_the_lexicon_is_lost(self) -> None:
        lexicon = load_lexicon()
        terms = [term.term for term in lexicon.terms if term.category != "unit"]
        lost = [term for term in terms if {match.term for match in find(lexicon, CLINICAL(term))} != {term}]
        assert lost == []

    def test_no_two_terms_of_the_lexicon_become_one(self) -> None:
        terms = [term.term for term in load_lexicon().terms]
        assert len({CLINICAL(term) for term in terms}) == len(terms)

    @pytest.mark.parametrize(("first", "second"), EQUAL)
    def test_these_mean_the_same(self, first: str, second: str) -> None:
        assert CLINICAL(first) == CLINICAL(second) != ""

    @pytest.mark.parametrize(("first", "second"), DIFFERENT)
    def test_these_do_not(self, first: str, second: str) -> None:
        assert CLINICAL(first) != CLINICAL(second)

    @pytest.mark.parametrize("text", ["", " ", "um", "...", "?!"])
    def test_nothing_may_be_left(self, text: str) -> None:
        assert CLINICAL(text) == ""

    @given(st.text(max_size=60))
    @settings(deadline=None)
    def test_any_text_has_a_form(self, text: str) -> None:
        normalized = CLINICAL(text)
        assert normalized == " ".join(normalized.split())

    @given(
        st.lists(
            st.sampled_from([word for pair in EQUAL + DIFFERENT for text in pair for word in text.split()]), max_size=8
        )
    )
    @settings(deadline=None)
    def test_normalizing_twice_changes_nothing_more(self, words: list[str]) -> None:
        once = CLINICAL(" ".join(words))
        assert CLINICAL(once) == once


class TestNames:
    def test_a_name_and_a_version_find_the_same_normalizer(self) -> None:
        for name in NORMALIZERS:
            normalizer = text_normalizer(name)
            assert text_normalizer(normalizer.id) == normalizer

    def test_an_unknown_one_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ConfigurationError, match="clinical-en/1"):
            text_normalizer("klinisch")

    def test_the_notebooks_folds_case_commas_and_full_stops_only(self) -> None:
        assert text_normalizer("seed")(" I've 0.5, OK? ") == "i've 05 ok?"

    def test_whispers_takes_oh_for_a_number(self) -> None:
        assert text_normalizer("whisper-en")("oh no") == "0 no"

    def test_the_notebooks_preparation_drops_digits(self) -> None:
        assert normalize_transcription("Take 20 mg, twice.") == "take mg, twice."
