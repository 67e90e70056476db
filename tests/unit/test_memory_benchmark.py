"""What the memory benchmark asks: no more in the last quarter of the time than in the first, and never more than the limit."""

from __future__ import annotations

from benchmarks.memory import Load
from benchmarks.processes import Reading


def missed(*mebibytes: float) -> set[str]:
    """The limits that are missed where a daemon holds this much, in steps of equal length."""
    load = Load(
        what="four hours",
        files=1,
        audio_seconds=60.0,
        began=50.0,
        ended=50.0 + len(mebibytes),
        readings=tuple(
            Reading(at=50.5 + step, proportional_bytes=round(held * 2**20)) for step, held in enumerate(mebibytes)
        ),
        resident_peak=0,
    )
    return {line.what for line in load.lines() if line.met is False}


def test_memory_that_rises_and_falls_again_is_flat() -> None:
    assert missed(600, 700, 800, 700, 650, 600, 700, 720) == set()


def test_memory_that_grows_with_the_audio_is_not() -> None:
    assert missed(600, 600, 650, 650, 700, 700, 750, 750) == {"last quarter / first"}


def test_a_peak_in_between_is_held_against_the_limit() -> None:
    assert missed(600, 600, 1500, 600, 600, 600, 600, 600) == {"most at any time (PSS)"}
