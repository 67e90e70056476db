"""When a file counts as complete. No files here: pure logic on a fake clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.intake.arrival import Arrival, IgnoreCode
from daemon.intake.stability import StabilityTracker
from tests.support.intake import FakeClock

SETTLE = 5.0


def seen(name: str = "visit.wav", *, size: int = 100, mtime_ns: int = 1, inode: int = 1) -> Arrival:
    return Arrival(inbox=Path("/inbox"), folders=(), name=name, device=1, inode=inode, size=size, mtime_ns=mtime_ns)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tracker(clock: FakeClock) -> StabilityTracker:
    return StabilityTracker(SETTLE, clock)


def test_a_file_is_taken_once_it_has_not_changed_for_the_settling_time(tracker, clock):
    assert tracker.observe([seen()]) == []
    clock.advance(SETTLE - 0.1)
    assert tracker.observe([seen()]) == []
    clock.advance(0.1)
    assert tracker.observe([seen()]) == [seen()]


def test_a_file_still_growing_is_not_taken(tracker, clock):
    """Bursts with pauses of four seconds, for a minute; then it is over."""
    for burst in range(15):
        assert tracker.observe([seen(size=100 + burst)]) == []
        clock.advance(4)
    assert tracker.observe([seen(size=114)]) == []
    clock.advance(1)
    assert tracker.observe([seen(size=114)]) == [seen(size=114)]


@pytest.mark.parametrize(
    "change", [{"mtime_ns": 2}, {"inode": 2}, {"size": 99}, {"device": 2}], ids=lambda change: next(iter(change))
)
def test_any_change_starts_the_wait_anew(tracker, clock, change):
    tracker.observe([seen()])
    clock.advance(SETTLE)
    assert tracker.observe([replace(seen(), **change)]) == []
    clock.advance(SETTLE)
    assert tracker.observe([replace(seen(), **change)]) == [replace(seen(), **change)]


@pytest.mark.parametrize("mtime_ns", [0, 1, 4_102_444_800 * 10**9], ids=["1970", "just after", "2100"])
def test_the_age_of_the_modification_time_does_not_matter(tracker, clock, mtime_ns):
    assert tracker.observe([seen(mtime_ns=mtime_ns)]) == []
    clock.advance(SETTLE)
    assert len(tracker.observe([seen(mtime_ns=mtime_ns)])) == 1


def test_an_empty_file_waits_until_it_is_filled(tracker, clock):
    tracker.observe([seen(size=0)])
    clock.advance(3600)
    assert tracker.observe([seen(size=0)]) == []
    assert tracker.observe([seen(size=1)]) == []
    clock.advance(SETTLE)
    assert tracker.observe([seen(size=1)]) == [seen(size=1)]


def test_a_file_empty_for_long_is_named_to_a_person(tracker, clock):
    tracker.observe([seen(size=0)])
    clock.advance(599)
    assert tracker.waiting(600) == []
    clock.advance(1)
    assert [(ignored.path.name, ignored.code) for ignored in tracker.waiting(600)] == [("visit.wav", IgnoreCode.EMPTY)]


def test_a_vanished_file_is_forgotten_and_starts_over_when_it_returns(tracker, clock):
    tracker.observe([seen()])
    clock.advance(SETTLE)
    assert tracker.observe([]) == []
    assert len(tracker) == 0
    assert tracker.observe([seen()]) == []


def test_files_come_in_the_order_in_which_they_were_first_seen_then_by_name(tracker, clock):
    tracker.observe([seen("late-name.wav"), seen("early-name.wav")])
    clock.advance(1)
    everything = [seen("a.wav"), seen("late-name.wav"), seen("early-name.wav")]
    tracker.observe(everything)
    clock.advance(SETTLE)
    assert [file.name for file in tracker.observe(everything)] == ["early-name.wav", "late-name.wav", "a.wav"]


def test_a_file_not_yet_taken_is_given_again(tracker, clock):
    tracker.observe([seen()])
    clock.advance(SETTLE)
    assert tracker.observe([seen()]) == tracker.observe([seen()]) == [seen()]


def test_a_refused_file_is_tried_less_and_less_often_while_others_go_on(tracker, clock):
    files = [seen("locked.wav"), seen("fine.wav")]
    tracker.observe(files)
    clock.advance(SETTLE)
    tries = []
    for second in range(1000):
        due = [file.name for file in tracker.observe(files)]
        assert "fine.wav" in due
        if "locked.wav" in due:
            tries.append(second)
            tracker.postpone(files[0], IgnoreCode.PERMISSION)
        clock.advance(1)
    assert [later - sooner for sooner, later in pairwise(tries)] == [
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        300,
    ]
    assert [(ignored.path.name, ignored.code) for ignored in tracker.waiting(600)] == [
        ("locked.wav", IgnoreCode.PERMISSION)
    ]


def test_a_refused_file_that_changes_is_tried_again_without_waiting_longer_than_it_settles(tracker, clock):
    tracker.observe([seen()])
    clock.advance(SETTLE)
    for _ in range(8):
        tracker.postpone(seen(), IgnoreCode.BUSY)
    tracker.observe([seen(size=200)])
    clock.advance(SETTLE)
    assert tracker.observe([seen(size=200)]) == [seen(size=200)]
    assert tracker.waiting(600) == []


def test_equal_names_in_different_folders_are_different_files(tracker, clock):
    files = [seen(), replace(seen(), folders=("ward",))]
    tracker.observe(files)
    clock.advance(SETTLE)
    tracker.postpone(files[0], IgnoreCode.BUSY)
    assert tracker.observe(files) == [files[1]]


@given(st.lists(st.tuples(st.integers(1, 4), st.floats(0.1, 9)), max_size=30))
def test_whatever_happens_only_files_unchanged_for_the_settling_time_are_given(history):
    clock = FakeClock()
    tracker = StabilityTracker(SETTLE, clock)
    last, since = None, clock()
    for size, pause in history:
        if size != last:
            last, since = size, clock()
        given_now = bool(tracker.observe([seen(size=size)]))
        assert given_now == (clock() - since >= SETTLE)
        clock.advance(pause)
