"""Which windows are decoded together, and when a recording is complete."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.pool import Window, WindowPool
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
    pool.deliver(batch, [hypothesis_of(window) for window in batch])
    return batch


def test_windows_of_several_recordings_share_a_batch_in_order_of_arrival() -> None:
    pool = WindowPool()
    pool.add("b", spans(2))
    pool.add("a", spans(2))

    batch = pool.take(3)

    assert [(window.recording, window.index) for window in batch] == [("b", 0), ("b", 1), ("a", 0)]
    assert len(pool) == 1


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
