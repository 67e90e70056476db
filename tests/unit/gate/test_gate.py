"""A candidate is promoted only when it is better where it should be and worse nowhere; everything else keeps the old model."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from medasr.gate import BASE, GENERAL, judge
from medasr.verdict import CheckName, Decision, GateOptions, GateVerdict, Sound
from tests.support.trials import QUIET, misheard, said, trial

OPTIONS = GateOptions()
TERMS = ("headache", "ibuprofen", "rash", "penicillin", "asthma", "cough", "nausea", "pain", "infection", "swollen")
SPOKEN = said(60)
BEFORE = misheard(SPOKEN, 0.15, seed=1)
BETTER = misheard(SPOKEN, 0.05, seed=2)


def failed(verdict: GateVerdict) -> set[str]:
    return {str(check.name) for check in verdict.failed}


class TestPromotion:
    def test_what_is_better_everywhere_is_promoted(self) -> None:
        verdict = judge([trial(BEFORE, BETTER, SPOKEN)], QUIET, OPTIONS)
        assert verdict.decision is Decision.PROMOTE
        assert not verdict.failed
        assert "better in 100.0 % of the resamples" in verdict.reasons[0]

    def test_figures_of_both_come_with_the_interval_of_their_difference(self) -> None:
        (result,) = judge([trial(BEFORE, BETTER, SPOKEN)], QUIET, OPTIONS).trials
        figure = result.figure("normalized_wer")
        assert figure is not None
        assert figure.before is not None
        assert figure.after is not None
        assert figure.difference.value == pytest.approx(figure.after - figure.before)
        assert figure.difference.high is not None
        assert figure.difference.high < 0
        assert result.changed[0].more_errors >= result.changed[-1].more_errors

    def test_how_sure_it_must_be_is_an_option(self) -> None:
        plain = ("and", "the", "I", "is", "on", "day")
        before, after = misheard(SPOKEN, 0.3, only=plain, seed=1), misheard(SPOKEN, 0.26, only=plain, seed=2)
        one = trial(before, after, SPOKEN)
        decisions = [judge([one], QUIET, replace(OPTIONS, probability=asked)).decision for asked in (0.5, 0.999999)]
        assert decisions == [Decision.PROMOTE, Decision.REJECT]


class TestRejection:
    def test_a_tie_keeps_the_old_one(self) -> None:
        verdict = judge([trial(BEFORE, BEFORE, SPOKEN)], QUIET, OPTIONS)
        assert verdict.decision is Decision.REJECT
        assert failed(verdict) == {CheckName.WER}
        assert "better in 50.0 % of the resamples, 90 % are asked for" in verdict.reasons[0]

    def test_the_very_model_that_serves_is_not_compared_with_itself(self) -> None:
        verdict = judge([], (), OPTIONS, identical=True)
        assert failed(verdict) == {CheckName.ANOTHER}
        assert verdict.trials == ()

    def test_worse_overall(self) -> None:
        verdict = judge([trial(BETTER, BEFORE, SPOKEN)], QUIET, OPTIONS)
        assert CheckName.WER in failed(verdict)

    def test_better_in_words_but_worse_in_terms(self) -> None:
        deaf = misheard(SPOKEN, 0.5, only=TERMS)
        verdict = judge([trial(misheard(SPOKEN, 0.4, never=TERMS), deaf, SPOKEN)], QUIET, OPTIONS)
        assert failed(verdict) == {CheckName.MTA}
        assert "MTA on medical speech is" in verdict.reasons[0]

    def test_better_in_words_but_inventing_terms(self) -> None:
        inventive = [f"{text} nausea" if number % 2 else text for number, text in enumerate(SPOKEN)]
        verdict = judge([trial(misheard(SPOKEN, 0.4, never=TERMS), inventive, SPOKEN)], QUIET, OPTIONS)
        assert failed(verdict) == {CheckName.PRECISION}

    def test_inventing_terms_on_other_speech_only(self) -> None:
        inventive = [f"{text} nausea" if number % 4 == 0 else text for number, text in enumerate(SPOKEN)]
        general = trial(SPOKEN, inventive, SPOKEN, name=GENERAL)
        verdict = judge([trial(BEFORE, BETTER, SPOKEN), general], QUIET, replace(OPTIONS, margin_general=50.0))
        assert failed(verdict) == {CheckName.PRECISION}
        (check,) = verdict.failed
        assert check.trial == "medical and general against serving"

    def test_terms_nobody_said_are_told_by_all_speech_against_the_same_model(self) -> None:
        """One of thirty is three points, too many; of all that was measured it is less than a hundredth."""
        few, rest = SPOKEN[:20], said(200)
        medical = trial(misheard(few, 0.4, never=TERMS), [*few[:-1], f"{few[-1]} nausea"], few)
        options = replace(OPTIONS, margin_general=50.0, risk=0.9)
        assert failed(judge([medical], QUIET, options)) == {CheckName.PRECISION}
        general = trial(rest, rest, rest, name=GENERAL)
        assert judge([medical, general], QUIET, options).decision is Decision.PROMOTE
        against_stock = replace(general, against=BASE)
        assert failed(judge([medical, against_stock], QUIET, options)) == {CheckName.PRECISION}

    def test_a_small_loss_of_terms_is_no_reason_where_it_may_be_chance(self) -> None:
        forgetful = [*SPOKEN[:-1], SPOKEN[-1].replace("nausea", "blah")]
        one = trial(misheard(SPOKEN, 0.8, only=("and", "the", "on")), forgetful, SPOKEN)
        assert judge([one], QUIET, OPTIONS).decision is Decision.PROMOTE
        assert failed(judge([one], QUIET, replace(OPTIONS, margin_mta=0.0))) == {CheckName.MTA}

    @pytest.mark.parametrize("number", [1, 5, 19])
    def test_too_small_a_set_tells_nothing(self, number: int) -> None:
        verdict = judge([trial(BEFORE[:number], SPOKEN[:number], SPOKEN[:number])], QUIET, OPTIONS)
        assert CheckName.SIZE in failed(verdict)
        assert "20 with 20 are needed to tell" in " ".join(verdict.reasons)

    def test_too_few_terms_tell_nothing_of_terms(self) -> None:
        plain = [f"the day number {number} was long and the road was wet" for number in range(40)]
        verdict = judge([trial(misheard(plain, 0.3), plain, plain)], QUIET, OPTIONS)
        assert {CheckName.SIZE, CheckName.MTA} <= failed(verdict)

    def test_no_medical_speech_at_all(self) -> None:
        assert failed(judge([], QUIET, OPTIONS)) == {CheckName.SIZE}

    def test_shuffled_hypotheses(self) -> None:
        shuffled = list(BETTER)
        random.Random(3).shuffle(shuffled)
        verdict = judge([trial(BEFORE, shuffled, SPOKEN)], QUIET, OPTIONS)
        assert {CheckName.WER, CheckName.MTA} <= failed(verdict)

    def test_it_has_learned_what_it_is_measured_on(self) -> None:
        verdict = judge([trial(BEFORE, BETTER, SPOKEN)], QUIET, OPTIONS, heard=3)
        assert failed(verdict) == {CheckName.UNHEARD}
        assert "it has learned from 3 utterances" in verdict.reasons[0]

    def test_failing_on_what_is_difficult_is_no_gain(self) -> None:
        one = trial(BEFORE, BETTER, SPOKEN)
        verdict = judge([replace(one, after=one.after[:-1])], QUIET, OPTIONS)
        assert failed(verdict) == {CheckName.COMPLETE}

    def test_other_speech_was_forgotten(self) -> None:
        general = trial(misheard(SPOKEN, 0.05), misheard(SPOKEN, 0.10), SPOKEN, name=GENERAL)
        verdict = judge([trial(BEFORE, BETTER, SPOKEN), general], QUIET, OPTIONS)
        assert failed(verdict) == {CheckName.GENERAL}

    def test_losses_within_the_margin_add_up_against_the_stock_model(self) -> None:
        worn = misheard(SPOKEN, 0.10, seed=5)
        general = [
            trial(worn, worn, SPOKEN, name=GENERAL),
            trial(misheard(SPOKEN, 0.05), worn, SPOKEN, name=GENERAL, against=BASE),
        ]
        verdict = judge([trial(BEFORE, BETTER, SPOKEN), *general], QUIET, OPTIONS)
        assert [check.trial for check in verdict.failed] == ["general against base"]


class TestBounds:
    def test_a_loop(self) -> None:
        looping = [*BETTER[:-3], *("and then and then " * 30 for _ in range(3))]
        verdict = judge([trial(BEFORE, looping, SPOKEN)], QUIET, OPTIONS)
        assert CheckName.REPETITION in failed(verdict)

    def test_a_long_text_is_no_loop(self) -> None:
        whole = " ".join(SPOKEN)
        general = trial([whole], [whole], [whole], name=GENERAL)
        verdict = judge([trial(BEFORE, BETTER, SPOKEN), general], QUIET, OPTIONS)
        assert verdict.decision is Decision.PROMOTE

    def test_it_passes_over_words(self) -> None:
        short = [" ".join(text.split()[3:]) for text in SPOKEN]
        verdict = judge([trial(misheard(SPOKEN, 0.5, never=TERMS), short, SPOKEN)], QUIET, OPTIONS)
        assert CheckName.DELETIONS in failed(verdict)

    def test_it_writes_more_than_was_said(self) -> None:
        long = [f"{text} well you know it is what it is" for text in SPOKEN]
        verdict = judge([trial(misheard(SPOKEN, 0.8, never=TERMS), long, SPOKEN)], QUIET, OPTIONS)
        assert failed(verdict) == {CheckName.LENGTH}

    def test_words_where_nobody_speaks(self) -> None:
        verdict = judge([trial(BEFORE, BETTER, SPOKEN)], (*QUIET, Sound(name="music", words=3)), OPTIONS)
        assert failed(verdict) == {CheckName.SILENCE}
        assert verdict.reasons == ("It wrote 3 words where nobody speaks (music), what serves 0.",)

    @pytest.mark.parametrize(("words", "decision"), [(2, Decision.PROMOTE), (3, Decision.REJECT)])
    def test_what_serves_writes_words_there_too(self, words: int, decision: Decision) -> None:
        sounds = (*QUIET, Sound(name="breath", words=words, words_before=2))
        assert judge([trial(BEFORE, BETTER, SPOKEN)], sounds, OPTIONS).decision is decision

    def test_silence_that_was_not_measured(self) -> None:
        assert failed(judge([trial(BEFORE, BETTER, SPOKEN)], (), OPTIONS)) == {CheckName.SILENCE}


WORDS = st.lists(st.sampled_from(["", "i", "have", "a", "headache", "nausea", "blah", "blah " * 20]), max_size=9)
TEXTS = st.lists(WORDS.map(" ".join), min_size=24, max_size=24)


class TestProperties:
    @settings(max_examples=20)
    @given(TEXTS, TEXTS, st.integers(0, 8))
    def test_every_figure_is_a_number_and_the_verdict_survives_json(
        self, before: list[str], after: list[str], speakers: int
    ) -> None:
        one = trial(before, after, SPOKEN[:24], speakers=speakers)
        verdict = judge([one, replace(one, name=GENERAL)], QUIET, OPTIONS)
        text = json.dumps(asdict(verdict), allow_nan=False)
        assert TypeAdapter(GateVerdict).validate_json(text) == verdict
        assert all(check.value is None or math.isfinite(check.value) for check in verdict.checks)

    @settings(max_examples=20)
    @given(TEXTS, TEXTS, st.integers(0, 8))
    def test_no_two_models_can_replace_each_other(self, before: list[str], after: list[str], speakers: int) -> None:
        sides = ((before, after), (after, before))
        ways = [trial(old, new, SPOKEN[:24], speakers=speakers) for old, new in sides]
        decisions = [judge([way], QUIET, OPTIONS).decision for way in ways]
        assert decisions != [Decision.PROMOTE, Decision.PROMOTE]

    @settings(max_examples=15)
    @given(TEXTS, st.integers(0, 8))
    def test_identical_texts_are_never_promoted(self, texts: list[str], speakers: int) -> None:
        one = trial(texts, texts, SPOKEN[:24], speakers=speakers)
        assert judge([one], QUIET, OPTIONS).decision is Decision.REJECT

    @settings(max_examples=20)
    @given(st.integers(1, 8), st.integers(0, 1000))
    def test_the_same_input_gives_the_same_verdict(self, speakers: int, seed: int) -> None:
        texts = [misheard(SPOKEN, share, seed=seed) for share in (0.2, 0.1)]
        ones = [trial(texts[0], texts[1], SPOKEN, speakers=speakers) for _ in range(2)]
        assert judge(ones[:1], QUIET, OPTIONS) == judge(ones[1:], QUIET, OPTIONS)


class TestFewSpeakers:
    def test_three_speakers_alone_do_not_make_a_trifle_certain(self) -> None:
        """Each speaker gains one word in twenty utterances: drawing whole speakers, every draw would be better."""
        after = list(SPOKEN)
        before = [text.replace("day", "way") if number in (0, 1, 2) else text for number, text in enumerate(SPOKEN)]
        verdict = judge([trial(before, after, SPOKEN, speakers=3)], QUIET, OPTIONS)
        (result,) = verdict.trials
        figure = result.figure("normalized_wer")
        assert result.resampled == "speakers and their utterances"
        assert figure is not None
        assert figure.probability_better is not None
        assert figure.probability_better < 1
