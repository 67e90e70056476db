"""Which windows are decoded together, and when a recording is complete."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.pool import LOOK_AHEAD, Window, WindowPool
from medasr.types import Hypothesis, SpeechSpan


def spans(count: int) -> list[SpeechSpan]:
    return [SpeechSpan(start=float(index), end=index + 1.0) for index in range(count)]


def hypothesis_of(window: Window) -> Hypothesis:
    return Hypothesis(
        text=f"{window.recording} {window.index}",
        segments=(),
        mean_log_probability=0.0,
        no_speech_probability=0.0,
        compression_ratio=1.0,
    )


def decode(pool: WindowPool, limit: int) -> list[Window]:
    batch = pool.take(limit)
    for window in batch:
        pool.deliver(window, hypothesis_of(window))
    return batch


def test_windows_of_several_recordings_share_a_batch_in_order_of_arrival() -> None:
    pool = WindowPool()
    pool.add("b", spans(2))
    pool.add("a", spans(2))

    batch = pool.take(3)

    assert [(window.recording, window.index) for window in batch] == [("b", 0), ("b", 1), ("a", 0)]
    assert len(pool) == 1


def lasting(*seconds: float) -> list[SpeechSpan]:
    return [SpeechSpan(start=0.0, end=length) for length in seconds]


def test_windows_of_several_recordings_that_are_computed_over_the_same_length_share_a_batch() -> None:
    pool = WindowPool(context=lambda seconds: 10.0 if seconds <= 10.0 else 30.0)
    pool.add("a", lasting(5.0, 20.0))
    pool.add("b", lasting(25.0, 7.0))
    pool.add("c", lasting(3.0))

    batches = [[(window.recording, window.index) for window in pool.take(3)] for _ in range(2)]

    assert batches == [[("a", 0), ("b", 1), ("c", 0)], [("a", 1), ("b", 0)]]
    assert not pool


def test_more_windows_are_wanted_until_the_next_batch_is_full_or_enough_wait() -> None:
    pool = WindowPool(context=lambda seconds: seconds)
    assert pool.wants_more(2)
    pool.add("a", lasting(1.0))
    assert pool.wants_more(2)
    pool.add("b", lasting(2.0, 3.0))
    assert pool.wants_more(2)
    pool.add("c", lasting(1.0))
    assert not pool.wants_more(2)
    pool.take(2)
    pool.add("d", lasting(*range(4, 4 + 2 * LOOK_AHEAD)))
    assert not pool.wants_more(2)


def test_urgent_windows_come_before_all_others_in_order_of_arrival() -> None:
    pool = WindowPool()
    pool.add("a", spans(2))
    pool.add("first", spans(2), urgent=True)
    pool.add("second", spans(1), urgent=True)

    assert pool.urgent
    assert [window.recording for window in pool.take(4)] == ["first", "first", "second", "a"]
    assert not pool.urgent


def test_urgent_windows_come_before_a_batch_that_did_not_fit() -> None:
    pool = WindowPool()
    pool.add("a", spans(4))
    batch = pool.take(4)
    pool.add("urgent", spans(1), urgent=True)

    pool.give_back(batch)

    assert [window.recording for window in pool.take(2)] == ["urgent", "a"]
    assert [window.index for window in pool.take(8)] == [1, 2, 3]


@given(
    arrivals=st.lists(st.lists(st.integers(1, 3), max_size=6), min_size=1, max_size=12),
    limit=st.integers(1, 4),
)
def test_no_recording_is_overtaken_by_one_farther_behind_than_is_looked_ahead(
    arrivals: list[list[int]], limit: int
) -> None:
    """Recordings enter as the engine lets them in; whatever their windows are like, the oldest is in the next batch."""
    pool = WindowPool(context=lambda seconds: seconds)
    coming = [(f"r{number}", lasting(*lengths)) for number, lengths in enumerate(arrivals)]
    waiting: list[tuple[str, int]] = []
    while coming or pool:
        if coming and pool.wants_more(limit):
            recording, windows = coming.pop(0)
            pool.add(recording, windows)
            waiting += [(recording, index) for index in range(len(windows))]
            continue
        batch = decode(pool, limit)
        places = [waiting.index((window.recording, window.index)) for window in batch]
        assert places[0] == 0
        assert len({window.context for window in batch}) == 1
        own = sum(recording == batch[-1].recording for recording, _ in waiting)
        assert places[-1] < LOOK_AHEAD * limit + own
        waiting = [window for place, window in enumerate(waiting) if place not in places]


def test_a_recording_without_speech_is_complete_at_once() -> None:
    pool = WindowPool()
    pool.add("silent", [])

    assert pool.progress("silent") == (0, 0)
    assert pool.finish("silent") == ([], [])


def test_a_batch_that_did_not_fit_comes_first_again_in_the_same_order() -> None:
    pool = WindowPool()
    pool.add("a", spans(3))
    batch = pool.take(2)

    pool.give_back(batch)

    assert [window.index for window in pool.take(1)] == [0]
    assert [window.index for window in pool.take(8)] == [1, 2]


def test_a_dropped_recording_takes_its_windows_along_and_leaves_the_others() -> None:
    pool = WindowPool()
    pool.add("a", spans(2))
    pool.add("b", spans(2))

    pool.drop("a")
    pool.drop("unknown")

    assert [window.recording for window in pool.take(8)] == ["b", "b"]


def test_progress_counts_decoded_windows() -> None:
    pool = WindowPool()
    pool.add("a", spans(3))

    decode(pool, 2)

    assert pool.progress("a") == (2, 3)


@given(
    counts=st.lists(st.integers(0, 12), max_size=8),
    limits=st.lists(st.integers(1, 7), min_size=1, max_size=10),
    refused=st.sets(st.integers(0, 20)),
)
def test_every_window_is_decoded_once_and_lands_in_its_own_recording(
    counts: list[int], limits: list[int], refused: set[int]
) -> None:
    pool = WindowPool()
    for number, count in enumerate(counts):
        pool.add(f"r{number}", spans(count))

    decoded: list[Window] = []
    turn = 0
    while pool:
        limit = limits[turn % len(limits)]
        if turn in refused:
            pool.give_back(pool.take(limit))
        else:
            decoded += decode(pool, limit)
        turn += 1

    assert [(window.recording, window.index) for window in decoded] == [
        (f"r{number}", index) for number, count in enumerate(counts) for index in range(count)
    ]
    for number, count in enumerate(counts):
        windows, hypotheses = pool.finish(f"r{number}")
        assert windows == spans(count)
        assert [hypothesis.text for hypothesis in hypotheses] == [f"r{number} {index}" for index in range(count)]
