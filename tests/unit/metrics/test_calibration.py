"""Whether confidences mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from medasr.metrics.calibration import calibration


def test_what_is_right_as_often_as_it_is_sure_has_no_error() -> None:
    found = calibration([0.75] * 4 + [0.5] * 4, [True, True, True, False, True, False, True, False], bins=2)
    assert found is not None
    assert found.error == 0
    assert [(one.count, one.confidence, one.accuracy) for one in found.bins] == [(4, 0.5, 0.5), (4, 0.75, 0.75)]


def test_the_error_is_the_gap_averaged_over_all_that_was_counted() -> None:
    found = calibration([0.2, 0.4, 0.9, 1.0], [False, False, True, False], bins=2)
    assert found is not None
    assert [(one.confidence, one.accuracy) for one in found.bins] == [
        (pytest.approx(0.3), 0.0),
        (pytest.approx(0.95), 0.5),
    ]
    assert found.error == pytest.approx((0.3 + 0.45) / 2)


def test_the_bins_hold_equally_many_however_the_confidences_lie() -> None:
    found = calibration([0.99 + 0.0001 * place for place in range(25)], [True] * 25)
    assert found is not None
    assert [one.count for one in found.bins] == [3] * 5 + [2] * 5


def test_the_order_in_which_equal_confidences_come_makes_no_difference() -> None:
    right = [True] * 10 + [False] * 10
    assert calibration([0.5] * 20, right) == calibration([0.5] * 20, right[::-1])
    assert calibration([0.5] * 20, right).error == 0


def test_calibrated_confidences_in_thousands_have_next_to_no_error_and_boastful_ones_theirs() -> None:
    draw = np.random.default_rng(0)
    truth = draw.uniform(0.5, 0.9, 50_000)
    right = (draw.uniform(size=len(truth)) < truth).tolist()
    assert calibration(truth.tolist(), right).error < 0.01
    assert calibration((truth + 0.1).tolist(), right).error == pytest.approx(0.1, abs=0.01)


def test_fewer_outcomes_than_bins_leave_no_bin_empty() -> None:
    found = calibration([0.3, 0.6], [False, True])
    assert found is not None
    assert [one.count for one in found.bins] == [1, 1]


def test_without_outcomes_there_is_nothing_to_say() -> None:
    assert calibration([], []) is None


@pytest.mark.parametrize(
    ("confidences", "outcomes"), [([0.5], []), ([1.2], [True]), ([float("nan")], [True])], ids=["uneven", "high", "nan"]
)
def test_what_cannot_be_held_together_is_refused(confidences: list[float], outcomes: list[bool]) -> None:
    with pytest.raises(ValueError, match="confidence"):
        calibration(confidences, outcomes)
