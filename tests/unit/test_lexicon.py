"""How medical terms are found in what was said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from medasr.lexicon import Lexicon, find, find_terms, load_lexicon
from medasr.types import Segment, Word


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


def heard(lexicon: Lexicon, text: str) -> list[str]:
    return [match.term for match in find(lexicon, text)]


def test_a_match_gives_the_canonical_term_and_the_words_as_they_stand(lexicon):
    text = "She takes Tylenol."
    (match,) = find(lexicon, text)
    assert (match.term, match.category, match.surface) == ("paracetamol", "drug", "Tylenol")
    assert text[match.position : match.position + match.length] == "Tylenol"


def test_the_longest_term_wins_and_terms_do_not_overlap(lexicon):
    assert heard(lexicon, "type two diabetes and chest pain") == ["type 2 diabetes", "chest pain"]
    assert heard(lexicon, "diabetes, and pain in the evening") == ["diabetes", "pain"]


@pytest.mark.parametrize("text", ["x-ray", "x ray", "xray", "X-Rays", "X‑ray", "X RAY"])
def test_hyphen_space_and_nothing_are_the_same(lexicon, text):
    assert heard(lexicon, f"an {text} was done") == ["X-ray"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("follow up", "follow-up"),
        ("stomachache", "stomach ache"),
        ("ear-ache", "ear pain"),
        ("COVID 19", "COVID-19"),
        ("vitamin B-12", "cobalamin"),
        ("light headed", "light-headedness"),
    ],
)
def test_compounds_are_found_however_they_are_written(lexicon, text, term):
    assert heard(lexicon, f"there was {text} again") == [term]


def test_a_space_is_only_allowed_where_the_term_has_one(lexicon):
    assert heard(lexicon, "a problem in digestion") == []
    assert heard(lexicon, "indigestion") == ["dyspepsia"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("headaches", "headache"),
        ("biopsies", "biopsy"),
        ("two diagnostic biopsies", "biopsy"),
        ("vertebrae", "vertebra"),
        ("metastases", "metastasis"),
        ("diverticula", None),
        ("calves", "calf"),
        ("teeth", "tooth"),
        ("abscesses", "abscess"),
        ("carcinomata", "carcinoma"),
        ("fractures of the ankle", "ankle fracture"),
        ("statins", "statin"),
    ],
)
def test_plurals_regular_and_medical_are_the_term(lexicon, text, term):
    assert heard(lexicon, text) == ([term] if term else [])


@pytest.mark.parametrize("text", ["Crohn's disease", "Crohns disease", "Crohn disease", "Crohn’s", "CROHN'S DISEASE"])
def test_an_eponym_is_found_with_and_without_its_possessive(lexicon, text):
    assert heard(lexicon, text) == ["Crohn's disease"]


def test_a_surname_alone_is_no_disease(lexicon):
    assert heard(lexicon, "Mister Parkinson met Miss Crohn") == []


def test_a_possessive_of_a_term_is_the_term(lexicon):
    assert heard(lexicon, "the kidney's size, the kidneys' size") == ["kidney", "kidney"]


@pytest.mark.parametrize(
    ("british", "american"),
    [
        ("anaemia", "anemia"),
        ("diarrhoea", "diarrhea"),
        ("oedema", "edema"),
        ("oesophagus", "esophagus"),
        ("leukaemia", "leukemia"),
        ("haemorrhoids", "hemorrhoids"),
        ("coeliac disease", "celiac disease"),
        ("brain tumour", "brain tumor"),
        ("caesarean", "cesarean"),
        ("local anaesthetic", "local anesthetic"),
        ("sleep apnoea", "sleep apnea"),
        ("orthopaedic surgery", "orthopedic surgery"),
        ("foetal heart rate", "fetal heart rate"),
        ("oestrogen", "estrogen"),
        ("ferrous sulphate", "ferrous sulfate"),
        ("catheterisation", "catheterization"),
        ("nebuliser", "nebulizer"),
        ("goitre", "goiter"),
        ("5 millilitres", "5 milliliters"),
        ("10 centimetres", "10 centimeters"),
        ("phaeochromocytoma", "pheochromocytoma"),
    ],
)
def test_british_and_american_spelling_are_the_same_term(lexicon, british, american):
    assert heard(lexicon, british) == heard(lexicon, american) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hypertension", "hypotension"),
        ("hyperglycemia", "hypoglycaemia"),
        ("hyperthyroidism", "hypothyroidism"),
        ("prednisone", "prednisolone"),
        ("hydroxyzine", "hydralazine"),
        ("quinine", "quinidine"),
        ("cetirizine", "levocetirizine"),
        ("omeprazole", "esomeprazole"),
        ("ileum", "iliotibial band"),
        ("clonidine", "clonazepam"),
    ],
)
def test_false_friends_stay_apart(lexicon, one, other):
    assert heard(lexicon, one) != heard(lexicon, other)
    assert len(heard(lexicon, one)) == len(heard(lexicon, other)) == 1


@pytest.mark.parametrize(
    "text", ["last year", "charm", "theology of the unlegible", "earring", "headlight", "shipment"]
)
def test_terms_inside_other_words_are_not_found(lexicon, text):
    assert heard(lexicon, text) == []


@pytest.mark.parametrize("text", ["chest, pain", "chest. Pain", "chest - pain", "chest (pain)", "chest; pain"])
def test_punctuation_parts_terms(lexicon, text):
    assert heard(lexicon, text) == ["chest", "pain"]


@pytest.mark.parametrize("text", ["H. pylori", "H pylori", "h.pylori"])
def test_the_point_after_an_initial_parts_nothing(lexicon, text):
    assert heard(lexicon, text) == ["Helicobacter pylori infection"]


def test_abbreviations_with_points_are_found(lexicon):
    assert heard(lexicon, "A U.T.I. and an E.C.G. were noted") == ["urinary tract infection", "electrocardiogram"]


def test_accents_may_be_missing_composed_or_decomposed(lexicon):
    for text in ("Meniere's disease", "M\u00e9ni\u00e8re's disease", "Me\u0301nie\u0300re's disease"):
        (match,) = find(lexicon, f"It is {text}.")
        assert (match.term, match.surface) == ("Ménière's disease", text)


@pytest.mark.parametrize(
    ("text", "unit", "surface"),
    [
        ("500 mg", "milligram", "mg"),
        ("500mg", "milligram", "mg"),
        ("2.5 milligrams", "milligram", "milligrams"),
        ("five hundred milligrams", "milligram", "milligrams"),
        ("half a tablet", "tablet", "tablet"),
        ("½ tablet", "tablet", "tablet"),
        ("38.5 °C", "degree Celsius", "°C"),
        ("120 mmHg", "millimeter of mercury", "mmHg"),
        ("72 beats per minute", "beats per minute", "beats per minute"),
        ("5 mmol/L", "millimole per liter", "mmol/L"),
        ("50 µg", "microgram", "µg"),
        ("30%", "percent", "%"),
    ],
)
def test_a_unit_is_found_behind_a_number(lexicon, text, unit, surface):
    (match,) = find(lexicon, f"It was {text} today")
    assert (match.term, match.category, match.surface) == (unit, "unit", surface)


@pytest.mark.parametrize("text", ["a new unit", "drop by", "the G chord", "a pound shop", "5, mg", "to a degree"])
def test_a_unit_without_a_number_is_no_unit(lexicon, text):
    assert heard(lexicon, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "On the other hand, we may wait, patient as we are.",
        "We talked face to face over a cold drink.",
        "All of us will go back and forth in March.",
        "Please keep an eye on it.",
    ],
)
def test_everyday_english_has_no_terms(lexicon, text):
    assert heard(lexicon, text) == []


@pytest.mark.parametrize("text", ["I can't sleep", "I cant sleep", "I can’t sleep"])
def test_a_negation_may_miss_its_apostrophe(lexicon, text):
    assert heard(lexicon, text) == ["difficulty sleeping"]


def test_other_contractions_are_not_words_without_their_apostrophe(lexicon):
    assert heard(lexicon, "I'll see what he'll say; we'll have the cast of that play") == []


def test_what_patients_say_becomes_the_same_term(lexicon):
    said = ["my knee hurts", "a sore knee", "pain in my left knee", "knee ache", "my knees ache", "knee pain"]
    assert {term for text in said for term in heard(lexicon, text)} == {"knee pain"}


def segment(index: int, start: float, end: float, text: str, mean_log_probability: float = -0.1) -> Segment:
    return Segment(
        index=index,
        start=start,
        end=end,
        text=text,
        mean_log_probability=mean_log_probability,
        no_speech_probability=0.0,
        compression_ratio=1.0,
    )


def test_a_hit_has_its_segments_index_confidence_and_times_by_characters(lexicon):
    segments = [segment(7, 0.0, 2.0, "Hello there."), segment(8, 10.0, 20.0, "The asthma is ok, so", math.log(0.5))]
    text = "Hello there. The asthma is ok, so"
    (hit,) = find_terms(lexicon, segments, text)
    assert text[hit.position : hit.position + hit.length] == hit.surface == "asthma"
    assert (hit.term, hit.category, hit.segment) == ("asthma", "condition", 8)
    assert (hit.start, hit.end) == (pytest.approx(12.0), pytest.approx(15.0))
    assert hit.confidence == pytest.approx(0.5)


def test_a_hit_may_span_two_segments_and_belongs_to_the_first(lexicon):
    segments = [segment(0, 0.0, 1.0, "I have knee"), segment(1, 5.0, 6.0, "pain now", -2.0)]
    (hit,) = find_terms(lexicon, segments, "I have knee pain now")
    assert (hit.term, hit.segment) == ("knee pain", 0)
    assert (hit.start, hit.end) == (pytest.approx(7 / 11), pytest.approx(5.5))
    assert hit.confidence == pytest.approx(math.exp(-0.1))


def test_segments_without_text_are_passed_over(lexicon):
    segments = [segment(0, 0.0, 1.0, ""), segment(1, 1.0, 2.0, "fever"), segment(2, 2.0, 3.0, "")]
    (hit,) = find_terms(lexicon, segments, " fever ")
    assert (hit.segment, hit.start, hit.end) == (1, 1.0, 2.0)


def test_confidence_never_exceeds_one(lexicon):
    (hit,) = find_terms(lexicon, [segment(0, 0.0, 1.0, "fever", 0.2)], "fever")
    assert hit.confidence == 1.0


def timed(one: Segment, *confidences: float) -> Segment:
    """A segment whose words were timed: each is said for 0.4 s, and begins half a second after the one before."""
    words = [
        Word(start=one.start + place / 2, end=one.start + place / 2 + 0.4, text=text, confidence=confidence)
        for place, (text, confidence) in enumerate(zip(one.text.split(), confidences, strict=True))
    ]
    return replace(one, words=tuple(words))


def test_where_words_were_timed_a_hit_has_their_times_and_confidence(lexicon):
    said = timed(segment(0, 10.0, 20.0, "Pain? No chest pain, no fever.", -2.0), 0.5, 0.5, 0.9, 0.4, 0.5, 0.8)
    pain, chest_pain, fever = find_terms(lexicon, [said], said.text)
    assert (pain.start, pain.end, pain.confidence) == (10.0, 10.4, 0.5)
    assert (chest_pain.surface, chest_pain.start, chest_pain.end) == ("chest pain", 11.0, 11.9)
    assert chest_pain.confidence == pytest.approx(0.6)
    assert (fever.start, fever.end, fever.confidence) == (12.5, 12.9, 0.8)


def test_a_hit_may_end_with_a_word_of_another_segment(lexicon):
    segments = [timed(segment(0, 0.0, 2.0, "I have knee"), 1, 1, 0.9), timed(segment(1, 5.0, 6.0, "pain now"), 0.4, 1)]
    (hit,) = find_terms(lexicon, segments, "I have knee pain now")
    assert (hit.start, hit.end, hit.confidence) == (1.0, 5.4, pytest.approx(0.6))


def test_part_of_a_word_has_the_times_of_the_whole(lexicon):
    said = timed(segment(0, 0.0, 2.0, "A fever/cough"), 1, 0.7)
    assert [(hit.surface, hit.start, hit.end) for hit in find_terms(lexicon, [said], said.text)] == [
        ("fever", 0.5, 0.9),
        ("cough", 0.5, 0.9),
    ]


def test_where_the_words_of_one_segment_were_not_timed_times_are_interpolated(lexicon):
    segments = [timed(segment(0, 0.0, 1.0, "I have knee"), 1, 1, 1), segment(1, 5.0, 6.0, "pain now", -2.0)]
    (hit,) = find_terms(lexicon, segments, "I have knee pain now")
    assert (hit.start, hit.end) == (pytest.approx(7 / 11), pytest.approx(5.5))


def test_no_segments_have_no_terms(lexicon):
    assert find_terms(lexicon, [], "") == []


def test_a_text_that_is_not_the_segments_text_is_refused_without_showing_it(lexicon):
    with pytest.raises(ValueError, match="joined by single spaces") as caught:
        find_terms(lexicon, [segment(0, 0.0, 1.0, "fever")], "something else")
    assert "something else" not in str(caught.value)
