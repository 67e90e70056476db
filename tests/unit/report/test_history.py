"""Evaluations are held only against those that were made the same way."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from daemon.report.history import histories, recipe_changes
from tests.support.evaluations import RECIPE, TINY, make_scores
from tests.unit.report.stored import stored

OTHER = replace(RECIPE, normalizer="clinical-en/2")


def baseline(number: int, skill: float) -> object:
    return stored(number, skill=skill, model=TINY, model_label="whisper-tiny.en")


class TestSeries:
    def test_each_recipe_is_one_oldest_first_whatever_order_they_come_in(self) -> None:
        evaluations = [stored(1), stored(2), stored(3, recipe=OTHER), stored(4, recipe=OTHER)]
        random.Random(1).shuffle(evaluations)
        first, second = histories(evaluations)
        assert [point.evaluation.id for point in first.points] == [1, 2]
        assert [point.evaluation.id for point in second.points] == [3, 4]
        assert (first.letter, first.changed) == ("A", ())
        assert (second.letter, second.changed) == ("B", ("normalizer clinical-en/1 → clinical-en/2",))

    def test_a_change_of_recipe_is_no_change_of_the_model(self) -> None:
        _, second = histories([stored(1, skill=0.9), stored(2, skill=0.5, recipe=OTHER)])
        (point,) = second.points
        assert (point.last, point.since_last, point.since_best) == (None, {}, {})

    def test_a_renamed_dataset_is_the_same(self) -> None:
        (only,) = histories([stored(1), stored(2, recipe=replace(RECIPE, dataset="copied"))])
        assert len(only.points) == 2


class TestChanges:
    def test_they_are_since_the_last_and_since_the_best(self) -> None:
        (series,) = histories([stored(1, skill=0.9), stored(2, skill=0.7), stored(3, skill=0.8)])
        newest = series.points[-1]
        last, best = newest.since_last["mta"], newest.since_best["mta"]
        assert (last.earlier.id, round(last.difference, 6), last.better) == (2, 10.0, True)
        assert (best.earlier.id, round(best.difference, 6), best.better) == (1, -10.0, False)

    def test_lower_is_better_for_an_error_rate(self) -> None:
        (series,) = histories([stored(1, skill=0.7), stored(2, skill=0.8)])
        change = series.points[-1].since_last["normalized_wer"]
        assert (round(change.difference, 6), change.better) == (-10.0, True)

    def test_only_what_the_intervals_exclude_is_beyond_noise(self) -> None:
        (series,) = histories([stored(1, skill=0.80), stored(2, skill=0.82), stored(3, skill=0.9)])
        assert [point.since_last["mta"].beyond_noise for point in series.points[1:]] == [False, True]

    def test_a_baseline_breaks_nobody_s_line(self) -> None:
        (series,) = histories([stored(1, skill=0.8), baseline(2, 0.6), stored(3, skill=0.8)])  # type: ignore[list-item]
        serving = series.lines["serving"]
        assert [point.evaluation.id for point in serving] == [1, 3]
        assert serving[-1].since_last["mta"].better is None

    def test_a_figure_that_nobody_could_count_has_no_change(self) -> None:
        unknown = replace(make_scores().mta, value=None, low=None, high=None)
        (series,) = histories([stored(1), stored(2, scores=make_scores(mta=unknown)), stored(3)])
        assert "mta" not in series.points[1].since_last
        assert "mta" not in series.points[2].since_last
        assert series.points[2].since_best["mta"].earlier.id == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": "new", "dataset_sha256": "fe" * 32}, "dataset medical-speech → new"),
        ({"dataset_sha256": "fe" * 32}, "the content of medical-speech"),
        ({"split": "all"}, "split phrase-and-speaker-disjoint → all"),
        ({"utterances_sha256": "99" * 32}, "which 80 utterances were scored"),
        ({"lexicon_sha256": "99" * 32}, "the lexicon's terms"),
        (
            {"decoding": RECIPE.decoding | {"speech": {"threshold": 0.4}}},
            "decoding.speech.threshold 0.5 → 0.4",
        ),
        ({"decoding": RECIPE.decoding | {"beam": 5}}, "decoding.beam none → 5"),
        (
            {"decoding": RECIPE.decoding | {"bias": {"lists": "ab12", "weight": 1.0}}},
            "decoding.bias none → lists ab12, weight 1.0",
        ),
    ],
)
def test_what_differs_is_said_in_words(changes: dict[str, object], said: str) -> None:
    assert recipe_changes(stored(1), stored(2, recipe=replace(RECIPE, **changes))) == (said,)  # type: ignore[arg-type]
