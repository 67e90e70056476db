"""Sentences claim no more than the figures allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.report.alarms import alarms_by_evaluation
from daemon.report.history import histories
from daemon.report.words import meaning
from daemon.sections import Evaluation
from daemon.store.measurements import Measurement
from tests.support.evaluations import TINY
from tests.unit.report.stored import stored

if TYPE_CHECKING:
    from daemon.store.evaluations import EvaluationSummary


def told(*evaluations: EvaluationSummary) -> str:
    """What is said of the last of these, with the alarms it raised."""
    (series,) = histories(evaluations)
    measured = [
        Measurement(
            evaluation=one.id,
            at=one.ended_at,
            recipe_sha256=one.recipe.sha256,
            scheduled=True,
            normalized_wer=one.scores.normalized_wer.value,
            mta=one.scores.mta.value,
            term_precision=one.scores.term_precision.value,
        )
        for one in evaluations
    ]
    alarms = alarms_by_evaluation(measured, Evaluation())
    return " ".join(meaning(series.points[-1], alarms.get(evaluations[-1].id, ())))


def test_the_first_is_compared_with_nothing() -> None:
    assert "nothing to compare it with yet" in told(stored(1))


def test_the_same_again_is_the_same() -> None:
    assert "scores the same as no. 1" in told(stored(1), stored(2))


def test_a_small_change_is_not_called_better() -> None:
    said = told(stored(1, skill=0.80), stored(2, skill=0.81))
    assert "not clearly better or worse than no. 1" in said
    assert "`medasrd evaluations compare 1 2`" in said


def test_a_large_gain_is_called_better_and_the_best() -> None:
    said = told(stored(1, skill=0.7), stored(2, skill=0.9))
    assert "is better than no. 1" in said
    assert "normalized WER 30.0 → 10.0 (-20.0)" in said
    assert "the best normalized WER, MTA and term precision of all" in said


def test_a_gain_on_the_last_does_not_hide_a_loss_on_the_best() -> None:
    assert "Better before: normalized WER 10.0 in no. 1" in told(stored(1, skill=0.9), stored(2, skill=0.6), stored(3))


def test_another_model_is_named() -> None:
    said = told(stored(1), stored(2, skill=0.6, model=TINY))
    assert "which was another model (whisper-base, fp32)" in said


def test_an_alarm_within_the_noise_says_that_it_may_be_chance() -> None:
    said = told(stored(1, skill=0.83), stored(2, skill=0.80))
    assert said.startswith("ALARM: normalized WER of no. 2 is 20.0, 3.0 points worse")
    assert "beyond the margin, and yet it may be chance" in said


def test_an_alarm_beyond_the_noise_does_not() -> None:
    said = told(stored(1, skill=0.9), stored(2, skill=0.7))
    assert said.startswith("ALARM")
    assert "chance" not in said
