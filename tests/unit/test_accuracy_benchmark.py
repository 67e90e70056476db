"""What the accuracy benchmark asks of the recipe: better where it was trained for, no worse in anything else that it measures."""

from __future__ import annotations

from benchmarks.comparison import AccuracyFigures
from benchmarks.scores import Scored
from tests.support.trials import misheard, said, scored

SPOKEN = said(24)
STOCK_MISHEARS = 0.2


def wrote(name: str, share: float, *, time_error: float = 0.2, sound_words: int = 1) -> Scored:
    """What a model scores that mishears so many words, on whatever it is tested."""
    written = scored(SPOKEN, misheard(SPOKEN, share))
    return Scored(
        name=name,
        medical=written,
        unlike=written,
        joined=written,
        time_error=time_error,
        sound_words=sound_words,
        training_seconds=1.0,
    )


def asked(other: Scored) -> dict[str, bool]:
    """The figures that have a limit, and whether they keep it."""
    figures = AccuracyFigures(model="tiny", stock=wrote("stock", STOCK_MISHEARS), others=(other,))
    return {line.what: line.met for line in figures.lines() if line.met is not None}


def missed(other: Scored) -> set[str]:
    return {what.removeprefix("ours: ") for what, met in asked(other).items() if not met}


def test_what_hears_better_and_is_no_worse_elsewhere_keeps_every_limit() -> None:
    found = asked(wrote("ours", 0.05))
    assert len(found) == 10
    assert all(found.values())


def test_an_error_rate_that_rises_misses_its_limit_whatever_the_others_do() -> None:
    assert missed(wrote("ours", 0.4)) >= {
        "WER against stock, points",
        "CER against stock, points",
        "normalized CER against stock, points",
        "normalized WER unlike, points",
        "normalized WER joined, points",
    }


def test_times_that_are_further_off_miss_theirs() -> None:
    assert missed(wrote("ours", 0.05, time_error=0.3)) == {"median error of a segment's start against stock"}


def test_words_written_where_nobody_speaks_miss_theirs() -> None:
    assert missed(wrote("ours", 0.05, sound_words=2)) == {"words written for sounds without speech against stock"}


def test_the_notebooks_recipe_has_nothing_to_reach() -> None:
    assert asked(wrote("notebook", 0.4)) == {}
