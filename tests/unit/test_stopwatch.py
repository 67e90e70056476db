"""Where a benchmark says that time went: each second falls to one stage."""

from __future__ import annotations

import pytest

from benchmarks.stopwatch import Stopwatch


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_stage_stands_still_while_another_runs_within(clock: Clock) -> None:
    stopwatch = Stopwatch(clock)
    with stopwatch.running("all"):
        clock.now += 1
        with stopwatch.running("encoder"):
            clock.now += 4
        clock.now += 2
        with stopwatch.running("encoder"):
            clock.now += 3
    assert stopwatch.seconds == {"all": 3, "encoder": 7}


def test_what_counts_as_a_whole_holds_all_that_runs_within(clock: Clock) -> None:
    stopwatch = Stopwatch(clock)
    with stopwatch.running("all"), stopwatch.running("continuation", whole=True):
        with stopwatch.running("encoder"):
            clock.now += 4
            assert stopwatch.stage == "continuation"
        clock.now += 1
    with stopwatch.running("encoder"):
        clock.now += 2
    assert stopwatch.seconds == {"all": 0, "continuation": 5, "encoder": 2}


def test_what_passes_between_stages_falls_to_none(clock: Clock) -> None:
    stopwatch = Stopwatch(clock)
    for _ in range(2):
        clock.now += 10
        with stopwatch.running("intake"):
            clock.now += 1
    assert stopwatch.seconds == {"intake": 2}
    assert not stopwatch.stage


def test_a_call_that_fails_has_its_time_too(clock: Clock) -> None:
    stopwatch = Stopwatch(clock)

    def fail() -> None:
        clock.now += 1
        raise ValueError

    with pytest.raises(ValueError):
        stopwatch.timed("decoder", fail)()
    with stopwatch.running("store"):
        clock.now += 2
    assert stopwatch.seconds == {"decoder": 1, "store": 2}
