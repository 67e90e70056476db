"""The definitions of the metrics, worked by hand and against jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medasr.dataset.utterance import Exclusion, ExclusionReason
from medasr.errors import DatasetError, NotComparable
from medasr.lexicon import Lexicon, load_lexicon
from medasr.metrics.bootstrap import resample_each
from medasr.metrics.comparison import compare, compare_together
from medasr.metrics.scores import ScoredUtterance, TermOutcomeKind
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import headline, summarize
from medasr.text.normalizers import text_normalizer


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


def score(
    lexicon: Lexicon,
    reference: str,
    hypothesis: str,
    number: int = 0,
    speaker: str | None = None,
    confidences: Sequence[tuple[str, float]] = (),
) -> ScoredUtterance:
    scored = score_utterance(
        id=f"{number:04}",
        speaker=speaker,
        seconds=4.0,
        reference=reference,
        hypothesis=hypothesis,
        normalizer=text_normalizer("clinical-en"),
        lexicon=lexicon,
        confidences=confidences,
    )
    assert isinstance(scored, ScoredUtterance)
    return scored


def kinds(scored: ScoredUtterance) -> dict[str, str]:
    return {term.term: str(term.kind) for term in scored.terms}


WORDS = st.lists(st.sampled_from(["i", "have", "a", "headache", "nausea", "my", "knee", "hurts"]), max_size=7).map(
    " ".join
)


class TestTerms:
    def test_a_recognized_term_is_correct(self, lexicon: Lexicon) -> None:
        assert kinds(score(lexicon, "I have a headache", "i have a headache."))["headache"] == "correct"

    def test_a_term_that_was_not_written_is_missed(self, lexicon: Lexicon) -> None:
        assert kinds(score(lexicon, "I have a headache", "I have a head egg"))["headache"] == "missed"

    def test_a_term_that_nobody_said_is_invented(self, lexicon: Lexicon) -> None:
        (outcome,) = score(lexicon, "I feel well", "I feel nausea").terms
        assert (outcome.term, outcome.kind, outcome.reference) == ("nausea", TermOutcomeKind.INVENTED, "well")

    def test_another_drug_is_both_missed_and_invented(self, lexicon: Lexicon) -> None:
        found = kinds(score(lexicon, "I take ibuprofen", "I take paracetamol"))
        assert sorted(found.values()) == ["invented", "missed"]

    def test_a_plural_of_the_same_term_is_correct(self, lexicon: Lexicon) -> None:
        assert set(kinds(score(lexicon, "I have headaches", "I have headache")).values()) == {"correct"}

    def test_a_term_elsewhere_in_the_sentence_does_not_count(self, lexicon: Lexicon) -> None:
        found = score(lexicon, "headache and then my knee hurts today", "and then my knee hurts today headache")
        assert [term.kind for term in found.terms if term.term == "headache"] == ["missed", "invented"]


class TestScores:
    def test_a_worked_example(self, lexicon: Lexicon) -> None:
        scored = [
            score(lexicon, "I have a headache.", "I have a headache", 0),
            score(lexicon, "I take ibuprofen", "I take it", 1),
            score(lexicon, "I feel well", "I feel nausea", 2),
        ]
        scores = summarize(scored)
        assert scores.normalized_wer.value == pytest.approx(100 * 2 / 10)
        assert scores.wer.value == pytest.approx(100 * 3 / 10)  # the full stop counts
        assert scores.mta.value == pytest.approx(50)
        assert scores.term_precision.value == pytest.approx(50)
        assert scores.drug_mta.value == 0
        assert scores.drug_precision.value is None  # no drug was written
        assert scores.invented_per_hour == pytest.approx(1 / (12 / 3600))
        assert (scores.n_utterances, scores.n_terms, scores.resampled) == (3, 2, "utterances")

    @given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=6))
    @settings(deadline=None, max_examples=30)
    def test_rates_are_those_of_jiwer(self, lexicon: Lexicon, pairs: list[tuple[str, str]]) -> None:
        scores = summarize([score(lexicon, *pair, number) for number, pair in enumerate(pairs)], samples=10)
        references, hypotheses = (list(side) for side in zip(*pairs, strict=True))
        assert scores.wer.value == pytest.approx(100 * jiwer.wer(references, hypotheses))
        assert scores.cer.value == pytest.approx(100 * jiwer.cer(references, hypotheses))

    def test_an_empty_hypothesis_is_all_deletions(self, lexicon: Lexicon) -> None:
        scores = summarize([score(lexicon, "I have a headache", "")])
        assert (scores.normalized_words.deletions, scores.normalized_wer.value, scores.mta.value) == (4, 100, 0)

    def test_an_empty_reference_is_excluded(self, lexicon: Lexicon) -> None:
        found = score_utterance(
            id="x",
            speaker=None,
            seconds=1,
            reference="Um...",
            hypothesis="headache",
            normalizer=text_normalizer("clinical-en"),
            lexicon=lexicon,
        )
        assert isinstance(found, Exclusion)
        assert found.reason is ExclusionReason.EMPTY_REFERENCE

    def test_speakers_are_drawn_where_they_are_known(self, lexicon: Lexicon) -> None:
        scored = [score(lexicon, "my knee hurts", "my knee hurts", n, speaker=f"s{n % 2}") for n in range(4)]
        assert (summarize(scored).resampled, summarize(scored).n_speakers) == ("speakers and their utterances", 2)
        assert summarize([replace(scored[0], speaker=None), *scored[1:]]).resampled == "utterances"

    def test_the_order_of_utterances_does_not_matter(self, lexicon: Lexicon) -> None:
        scored = [
            score(lexicon, "my knee hurts", text, n) for n, text in enumerate(["my knee", "a headache", "knee hurts"])
        ]
        assert summarize(scored) == summarize(scored[::-1])

    def test_an_interval_holds_its_figure(self, lexicon: Lexicon) -> None:
        wer = summarize(
            [score(lexicon, "my knee hurts", "my knee" if n % 3 else "no", n) for n in range(30)]
        ).normalized_wer
        assert wer.low is not None
        assert wer.value is not None
        assert wer.high is not None
        assert wer.low < wer.value < wer.high

    def test_nothing_to_score_is_an_error(self) -> None:
        with pytest.raises(DatasetError, match="no utterance"):
            summarize([])

    def test_the_headline_has_the_agreed_keys(self, lexicon: Lexicon) -> None:
        figures = headline(summarize([score(lexicon, "I have a headache", "I have a headache")]))
        assert figures["mta"] == {"value": 100.0, "low": 100.0, "high": 100.0}
        assert list(figures) == [
            *("wer", "normalized_wer", "cer", "normalized_cer", "mta", "term_precision"),
            *("n_utterances", "n_terms"),
        ]


class TestConfidences:
    def test_a_written_term_keeps_its_confidence_and_one_that_was_not_written_has_none(self, lexicon: Lexicon) -> None:
        scored = score(
            lexicon,
            "I have a headache and take ibuprofen",
            "I have a headache and feel nausea",
            confidences=[("headache", 0.9), ("nausea", 0.4)],
        )
        assert [(term.term, str(term.kind), term.confidence) for term in scored.terms] == [
            ("headache", "correct", 0.9),
            ("ibuprofen", "missed", None),
            ("nausea", "invented", 0.4),
        ]

    def test_the_same_term_twice_has_two_confidences_in_the_order_of_the_text(self, lexicon: Lexicon) -> None:
        scored = score(lexicon, "nausea today", "nausea nausea today", confidences=[("nausea", 0.9), ("nausea", 0.2)])
        assert sorted(term.confidence or 0.0 for term in scored.terms) == [0.2, 0.9]

    def test_a_term_that_only_one_text_has_puts_no_other_out_of_place(self, lexicon: Lexicon) -> None:
        scored = score(
            lexicon,
            "nausea and asthma",
            "nausea and asthma",
            confidences=[("nausea", 0.9), ("fever", 0.1), ("asthma", 0.8)],
        )
        assert [term.confidence for term in scored.terms] == [0.9, 0.8]
        scored = score(lexicon, "nausea and asthma", "nausea and asthma", confidences=[("asthma", 0.8)])
        assert [term.confidence for term in scored.terms] == [None, 0.8]

    def test_confidences_change_no_judgement(self, lexicon: Lexicon) -> None:
        said, written = "I take ibuprofen for nausea", "I take naproxen for nausea"
        sure = score(lexicon, said, written, confidences=[("naproxen", 0.3), ("nausea", 0.9)])
        assert replace(sure, terms=tuple(replace(term, confidence=None) for term in sure.terms)) == score(
            lexicon, said, written
        )

    def test_a_worked_example(self, lexicon: Lexicon) -> None:
        """Sure of a half and right of all, and sure of nine tenths and wrong: gaps of 0.5 and 0.9."""
        scored = [
            score(lexicon, "I have nausea", "I have nausea", 0, confidences=[("nausea", 0.5)]),
            score(lexicon, "I feel well", "I feel nausea", 1, confidences=[("nausea", 0.9)]),
            score(lexicon, "I take ibuprofen", "I take it", 2),
        ]
        found = summarize(scored, samples=10).calibration
        assert found is not None
        assert found.error == pytest.approx((0.5 + 0.9) / 2)
        assert (found.count, found.confidence, found.accuracy) == (2, pytest.approx(0.7), 0.5)

    def test_nothing_is_said_of_confidences_that_are_not_known(self, lexicon: Lexicon) -> None:
        assert summarize([score(lexicon, "I have nausea", "I have nausea")], samples=10).calibration is None

    def test_models_with_and_without_known_confidences_are_compared(self, lexicon: Lexicon) -> None:
        first = [score(lexicon, "I have nausea", "I have nausea")]
        second = [score(lexicon, "I have nausea", "I have nausea", confidences=[("nausea", 0.9)])]
        found = compare(first, second)
        assert found.changed == ()
        assert found.differences["mta"].points.value == 0


class TestComparison:
    def test_a_model_is_no_better_than_itself(self, lexicon: Lexicon) -> None:
        scored = [
            score(lexicon, "I have a headache", text, n) for n, text in enumerate(["I have", "a headache", "headache"])
        ]
        found = compare(scored, scored)
        assert found.changed == ()
        assert {difference.points.value for difference in found.differences.values()} <= {0.0, None}
        assert found.differences["normalized_wer"].probability_better == 0.5

    def test_what_became_worse_comes_first(self, lexicon: Lexicon) -> None:
        reference = "I have a headache"
        first = [score(lexicon, reference, text, n) for n, text in enumerate([reference, "I have", reference])]
        second = [score(lexicon, reference, text, n) for n, text in enumerate(["I have a", reference, reference])]
        found = compare(first, second)
        assert [(pair.first.id, pair.more_errors, pair.fewer_terms) for pair in found.changed] == [
            ("0000", 1, 1),
            ("0001", -2, -1),
        ]
        assert found.differences["normalized_wer"].points.value == pytest.approx(-100 / 12)

    def test_other_utterances_are_not_compared(self, lexicon: Lexicon) -> None:
        scored = [score(lexicon, "my knee hurts", "my knee", n) for n in range(3)]
        with pytest.raises(NotComparable, match="1 are only in the first"):
            compare(scored, scored[1:])

    def test_other_references_are_not_compared(self, lexicon: Lexicon) -> None:
        with pytest.raises(NotComparable, match="references of 1 utterances differ"):
            compare([score(lexicon, "my knee hurts", "")], [score(lexicon, "my knee", "")])

    def test_several_sets_are_drawn_each_by_itself(self, lexicon: Lexicon) -> None:
        """Ids and speakers of the two sets are the same; in every draw there are four utterances of the one and two of the other."""
        heard, missed = "I have nausea", "I have"
        one = [score(lexicon, heard, heard, n, speaker=f"s{n}") for n in range(4)]
        other = [score(lexicon, heard, missed, n, speaker=f"s{n}") for n in range(2)]
        better = [score(lexicon, heard, heard, n, speaker=f"s{n}") for n in range(2)]
        found = compare_together([(one, one), (other, better)]).differences["mta"]
        assert found.points.value == pytest.approx(100 / 3)
        assert set(found.drawn.round(6)) == {round(100 / 3, 6)}

    def test_one_set_alone_is_compared_as_always(self, lexicon: Lexicon) -> None:
        first = [score(lexicon, "I have nausea", text, n) for n, text in enumerate(["I have", "nausea", "I"])]
        second = [score(lexicon, "I have nausea", "I have nausea", n) for n in range(3)]
        assert compare_together([(first, second)]) == compare(first, second)

    def test_a_speaker_known_in_one_set_only_does_not_scatter_the_other(self, lexicon: Lexicon) -> None:
        named = [score(lexicon, "I have nausea", "nausea", n, speaker=f"s{n % 6}") for n in range(12)]
        nameless = [score(lexicon, "I have nausea", "nausea", n) for n in range(3)]
        drawn = resample_each([named, nameless], 5, 0)
        assert drawn.drawn == "speakers, utterances"
        assert drawn.weights.shape == (6, 6 + 3)
        assert drawn.membership == [*range(6), *range(6), 6, 7, 8]
        assert (drawn.weights[:, :6].sum(axis=1) == 6).all()
        assert (drawn.weights[:, 6:].sum(axis=1) == 3).all()
