"""What counts as the same clinical text, as a table: the rules are read here first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr.errors import ConfigurationError
from medasr.lexicon import load_lexicon
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
    ("0.1 mg", "zero point one milligrams"),
    ("1.25 mg", "one point two five mg"),
    ("1.5 L", "one and a half liters"),
    ("1.5 tablets", "one and a half tablets"),
    ("4.5", "four and a half"),
    ("1 g", "one gram"),
    ("1.000 mg", "1 mg"),
    ("a hundred kilos", "100 kg"),
    ("a hundred and twenty over eighty", "120/80"),
    ("one twenty over eighty", "120/80"),
    ("one four zero over nine zero", "140/90"),
    ("two hundred and fifty milligrams", "250mg"),
    ("fifteen hundred", "1,500"),
    ("a million", "1,000,000"),
    ("2½ mg", "two and a half mg"),
    ("½ tablet", "half tablet"),
    ("⅓ tablet", "1/3 tablet"),
    ("take two 2 mg tablets", "take two two milligram tablets"),
    ("three five microgram doses", "3 5 mcg doses"),
    ("5 mmol/L", "five millimoles per litre"),
    ("4 mEq", "four milliequivalents"),
    ("100 IU", "one hundred international units"),
    ("25 kg/m²", "25 kg per m2"),
    ("500 mg/day", "500 mg per day"),
    ("75 ml/hr", "75 ml per hour"),
    ("102°F", "one hundred and two degrees Fahrenheit"),
    ("thirty seven point zero", "37"),
    ("98.6 °F", "ninety eight point six degrees F"),
    ("SpO2 98%", "spo2 ninety eight per cent"),
    ("five per cent", "5 percent"),
    ("90–120", "90 to 120"),
    ("two or three times", "2 or 3 times"),
    ("> 5", "more than 5"),
    ("≥ 65 years", "at least 65 years"),
    ("<18", "less than eighteen"),
    ("2+ oedema", "two plus edema"),
    ("3x a day", "three times a day"),
    ("every 4 hrs", "every four hours"),
    ("30 mins", "thirty minutes"),
    ("10 secs", "ten seconds"),
    ("6 yrs old", "six years old"),
    ("2 tabs", "two tablets"),
    ("at 7:30", "at seven thirty"),
    ("7.30 p.m.", "seven thirty pm"),
    ("8 a.m.", "eight AM"),
    ("at 8 o'clock", "at eight o'clock"),
    ("in 1984", "in nineteen eighty four"),
    ("since 2010", "since two thousand and ten"),
    ("the 1st of May", "the first of May"),
    ("the 21st of May", "the twenty first of May"),
    ("the 2nd of June", "the second of June"),
    ("the 22nd of June", "the twenty-second of June"),
    ("31st", "thirty first"),
    ("a 3rd degree burn", "a third degree burn"),
    ("the 6th nerve", "the sixth nerve"),
    ("type II diabetes", "type two diabetes"),
    ("Type I diabetes", "type 1 diabetes"),
    ("stage IV cancer", "stage four cancer"),
    ("factor VIII", "factor 8"),
    ("cranial nerve VII", "cranial nerve seven"),
    ("I.V. fluids", "IV fluids"),
    ("C.T. scan", "CT scan"),
    ("20 mg b.i.d.", "20 mg bid"),
    ("p.r.n.", "PRN"),
    ("COVID-19", "covid nineteen"),
    ("L5-S1", "L5 S1"),
    ("ECG/EKG", "ECG EKG"),
    ("pre-operative", "pre operative"),
    ("a non-smoker", "a non smoker"),
    ("pain—sharp", "pain sharp"),
    ("pain; no fever", "pain, no fever"),
    ('"pain"', "pain"),
    ("salt & sugar", "salt and sugar"),
    ("the patient’s pain", "the patients pain"),
    ("Alzheimer's disease", "Alzheimers disease"),
    ("Ménière’s disease", "Menieres disease"),
    ("St. John's wort", "St Johns wort"),
    ("it's been hurting", "it has been hurting"),
    ("he's had a fever", "he has had a fever"),
    ("I'd been sick", "I had been sick"),
    ("I'd like to sleep", "I would like to sleep"),
    ("I cant breathe", "I can't breathe"),
    ("I dont know", "I don't know"),
    ("it doesnt hurt", "it does not hurt"),
    ("Ive been sick", "I've been sick"),
    ("it hurts cos I fell", "it hurts because I fell"),
    ("they’re swollen", "they are swollen"),
    ("you'll faint", "you will faint"),
    ("my mummy", "my mommy"),
    ("my mum's knee", "my mom's knee"),
    ("O.K.", "okay"),
    ("twenty dollars", "$20"),
    ("haemorrhage", "hemorrhage"),
    ("anaesthetic", "anesthetic"),
    ("orthopaedic", "orthopedic"),
    ("gynaecologist", "gynecologist"),
    ("caesarean", "cesarean"),
    ("oestrogen", "estrogen"),
    ("foetus", "fetus"),
    ("apnoea", "apnea"),
    ("coeliac disease", "celiac disease"),
    ("ferrous sulphate", "ferrous sulfate"),
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
    ("0.1 mg", "1 mg"),
    ("1.5 mg", "5 mg"),
    ("10⁹", "109"),
    ("2½", "21 over 2"),
    ("6'2\"", "62"),
    ("<5", "5"),
    ("type I diabetes", "type 2 diabetes"),
    ("type II diabetes", "type III diabetes"),
    ("the type I have", "the type 1 have"),
    ("IV fluids", "4 fluids"),
    ("1:10", "110"),
    ("2+ edema", "2 edema"),
    ("hyperglycemia", "hypoglycemia"),
    ("insulin", "insulin glargine"),
    ("right ear", "left ear"),
    ("5 to 10 mg", "5 10 mg"),
    ("per os", "percent"),
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

    def test_no_two_terms_of_the_lexicon_become_one(self) -> None:
        terms = [term.term for term in load_lexicon().terms]
        assert len({CLINICAL(term) for term in terms}) == len(terms)

    @pytest.mark.parametrize(("first", "second"), EQUAL)
    def test_these_mean_the_same(self, first: str, second: str) -> None:
        assert CLINICAL(first) == CLINICAL(second) != ""

    @pytest.mark.parametrize(("first", "second"), DIFFERENT)
    def test_these_do_not(self, first: str, second: str) -> None:
        assert CLINICAL(first) != CLINICAL(second)

    def test_numbers_spoken_one_after_the_other_are_one(self) -> None:
        """Known and kept: the digits of a blood pressure are read like this, and nothing tells the two apart."""
        assert CLINICAL("two two") == "22"
        assert CLINICAL("march three twenty twenty") == "march 32020"

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
