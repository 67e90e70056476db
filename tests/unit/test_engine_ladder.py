"""How much the next model child tries after one was lost, and when."""

from __future__ import annotations

import pytest

from daemon.engine.ladder import (
    FIRST_REST_SECONDS,
    GIVE_UP_AFTER,
    LONGEST_REST_SECONDS,
    LOWERED_SECONDS,
    Ladder,
    Patience,
    Rung,
)
from daemon.engine.protocol import EngineFailure

TOP = Rung(batch_size=8, device="auto")


def test_out_of_memory_halves_the_batch_down_to_one_and_then_takes_the_cpu_to_its_own_end() -> None:
    ladder = Ladder(TOP)
    rungs = []

    device = "cuda:0"
    while ladder.lower(EngineFailure.OUT_OF_MEMORY, tried=ladder.rung.batch_size, device=device, now=0.0):
        rungs.append((ladder.rung.batch_size, ladder.rung.device))
        device = "cpu" if ladder.on_fallback_device else device

    assert rungs == [(4, "auto"), (2, "auto"), (1, "auto"), (8, "cpu"), (4, "cpu"), (2, "cpu"), (1, "cpu")]


def test_a_model_that_runs_on_the_cpu_has_nothing_to_fall_back_to() -> None:
    ladder = Ladder(TOP)

    assert not ladder.lower(EngineFailure.OUT_OF_MEMORY, tried=1, device="cpu", now=0.0)


def test_weights_that_do_not_fit_go_to_the_cpu_at_once() -> None:
    ladder = Ladder(TOP)

    assert ladder.lower(EngineFailure.OUT_OF_MEMORY, tried=1, device=None, now=0.0)
    assert ladder.rung == Rung(batch_size=8, device="cpu")


def test_a_batch_that_hung_may_only_have_been_too_slow_but_another_device_is_no_remedy() -> None:
    ladder = Ladder(TOP)

    assert ladder.lower(EngineFailure.HUNG, tried=2, device="cuda:0", now=0.0)
    assert ladder.rung.batch_size == 1
    assert not ladder.lower(EngineFailure.HUNG, tried=1, device="cuda:0", now=0.0)


def test_a_crash_says_nothing_about_memory() -> None:
    ladder = Ladder(TOP)

    assert not ladder.lower(EngineFailure.CRASHED, tried=8, device="cuda:0", now=0.0)
    assert ladder.rung == TOP


def test_what_was_less_than_configured_is_said() -> None:
    ladder = Ladder(TOP)

    assert ladder.finished(8, now=0.0) == ""
    assert ladder.finished(2, now=0.0) == "batch 2"
    ladder.lower(EngineFailure.OUT_OF_MEMORY, tried=1, device="cuda:0", now=0.0)
    assert ladder.finished(8, now=0.0) == "cpu"
    assert ladder.finished(4, now=0.0) == "cpu, batch 4"


def test_after_an_hour_the_configured_values_are_tried_again() -> None:
    ladder = Ladder(TOP)
    assert not ladder.expired(now=1e9)

    ladder.lower(EngineFailure.OUT_OF_MEMORY, tried=8, device="cuda:0", now=0.0)

    assert not ladder.expired(now=LOWERED_SECONDS - 1)
    assert ladder.expired(now=LOWERED_SECONDS)
    ladder.reset()
    assert ladder.rung == TOP
    assert not ladder.expired(now=LOWERED_SECONDS)


def test_a_batch_the_child_halved_by_itself_is_tried_whole_again_as_well() -> None:
    ladder = Ladder(TOP)

    ladder.finished(4, now=0.0)
    ladder.finished(4, now=LOWERED_SECONDS - 1)

    assert ladder.expired(now=LOWERED_SECONDS)


def test_children_that_keep_dying_are_given_longer_and_longer_rests() -> None:
    patience = Patience()
    for _ in range(GIVE_UP_AFTER - 1):
        patience.lost(now=0.0)
    assert not patience.resting(now=0.0)

    rests = []
    for _ in range(20):
        patience.lost(now=0.0)
        rests.append(next(seconds for seconds in range(10_000) if not patience.resting(now=seconds)))

    assert rests[:3] == [FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS, 4 * FIRST_REST_SECONDS]
    assert max(rests) == rests[-1] == LONGEST_REST_SECONDS


def test_a_finished_recording_restores_patience() -> None:
    patience = Patience()
    for _ in range(GIVE_UP_AFTER - 1):
        patience.lost(now=0.0)

    patience.finished()
    patience.lost(now=0.0)

    assert not patience.resting(now=0.0)


@pytest.mark.parametrize("losses", [1, GIVE_UP_AFTER, 100, 2000])
def test_no_number_of_losses_overflows_the_rest(losses: int) -> None:
    patience = Patience()
    for _ in range(losses):
        patience.lost(now=0.0)

    assert not patience.resting(now=LONGEST_REST_SECONDS)
