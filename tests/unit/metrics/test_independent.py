"""Our figures beside those of programs that others wrote: jiwer, and medwer with its medical word error rate."""

from __future__ import annotations

import random

import jiwer
import medwer
import pytest

from medasr.lexicon import Lexicon, make_lexicon
from medasr.lexicon.file import Term
from medasr.metrics.rates import word_error_rate
from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.text.normalizers import text_normalizer

NORMALIZER = text_normalizer("whisper-en")
TERMS = ("metformin", "insulin glargine", "chest pain", "asthma", "ibuprofen", "knee")
SENTENCES = (
    "She takes metformin and insulin glargine since last year.",
    "I have had chest pain since Monday, and my knee hurts.",
    "He has asthma; no ibuprofen, please.",
    "Nothing hurts today.",
)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    """References with hypotheses in which every fifth word was lost or heard as another; terms do not move."""
    chance = random.Random(1)
    made = []
    for number in range(200):
        reference = SENTENCES[number % len(SENTENCES)]
        heard = [word for word in reference.split() if chance.random() > 0.1]
        made.append((reference, " ".join(word if chance.random() > 0.1 else "window" for word in heard)))
    return made


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return make_lexicon([Term(term=term, category="condition", variants=()) for term in TERMS])


@pytest.fixture(scope="module")
def scored(pairs: list[tuple[str, str]], lexicon: Lexicon) -> list[ScoredUtterance]:
    found = [
        score_utterance(
            id=f"{number:03d}",
            speaker=None,
            seconds=3.0,
            reference=reference,
            hypothesis=hypothesis,
            normalizer=NORMALIZER,
            lexicon=lexicon,
        )
        for number, (reference, hypothesis) in enumerate(pairs)
    ]
    assert all(isinstance(one, ScoredUtterance) for one in found)
    return [one for one in found if isinstance(one, ScoredUtterance)]


def test_all_four_rates_are_those_of_jiwer(pairs: list[tuple[str, str]], scored: list[ScoredUtterance]) -> None:
    scores = summarize(scored, samples=10)
    references, hypotheses = [list(side) for side in zip(*pairs, strict=True)]
    plain = [[NORMALIZER(text) for text in side] for side in (references, hypotheses)]
    assert scores.wer.value == pytest.approx(100 * jiwer.wer(references, hypotheses))
    assert scores.cer.value == pytest.approx(100 * jiwer.cer(references, hypotheses))
    assert scores.normalized_wer.value == pytest.approx(100 * jiwer.wer(*plain))
    assert scores.normalized_cer.value == pytest.approx(100 * jiwer.cer(*plain))


def test_the_word_error_rate_is_that_of_medwer(pairs: list[tuple[str, str]]) -> None:
    theirs = medwer.Scorer().corpus([one for one, _ in pairs], [other for _, other in pairs])
    assert word_error_rate(pairs, NORMALIZER) == pytest.approx(100 * theirs["wer"])


def test_terms_are_missed_and_invented_as_medwer_counts(scored: list[ScoredUtterance]) -> None:
    """Its medical word error rate is over the terms alone. Where none is invented, all its errors are our missed ones."""
    edits = terms = 0
    for one in scored:
        wrong, said, _ = medwer.medical_wer(one.normalized_reference, one.normalized_hypothesis, TERMS)
        edits += wrong
        terms += said
    scores = summarize(scored, samples=10)
    missed = sum(counts.missed for counts in scores.terms.values())
    assert sum(counts.invented for counts in scores.terms.values()) == 0
    assert terms == scores.n_terms
    assert edits == missed > 20
    assert scores.mta.value == pytest.approx(100 * (1 - edits / terms))


def test_another_drug_is_one_error_for_medwer_and_two_for_us(lexicon: Lexicon) -> None:
    """Its one substitution is a missed and an invented term: whoever reads the transcript is misled twice."""
    texts = "She takes metformin.", "She takes ibuprofen."
    one = score_utterance(
        id="1",
        speaker=None,
        seconds=1.0,
        reference=texts[0],
        hypothesis=texts[1],
        normalizer=NORMALIZER,
        lexicon=lexicon,
    )
    assert isinstance(one, ScoredUtterance)
    assert medwer.medical_wer(*(NORMALIZER(text) for text in texts), TERMS)[0] == 1
    assert sorted(str(term.kind) for term in one.terms) == ["invented", "missed"]
