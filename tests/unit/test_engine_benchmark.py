"""What the comparison with other programs asks of medasr, and how it counts what they write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.consultations import join
from benchmarks.correctness import Correctness, judge
from benchmarks.engine_figures import SetFigures, SideFigures
from benchmarks.figures import Spread
from benchmarks.programs.written import LONG, SHORT, Written
from benchmarks.speech import Normalized, Spoken
from benchmarks.turns import ratio, take_turns
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE, SpeechSpan

RIVAL, OTHER_RIVAL = "faster-whisper int8, plain", "faster-whisper int8, batched"


def side(seconds: float, errors: float, dropped: float = 1.0) -> SideFigures:
    return SideFigures(
        seconds=Spread(values=(seconds, seconds)),
        audio_seconds=60.0,
        correctness=Correctness(word_error_rate=errors, dropped=dropped, coverage=None),
    )


def figures(way: str, sides: dict[str, SideFigures], *, short: bool = True, learned: bool = False) -> SetFigures:
    return SetFigures(
        model="tiny",
        name="recordings",
        way=way,
        recordings=3,
        audio_seconds=60.0,
        sides=sides,
        rivals=tuple(name for name in sides if name.startswith("faster-whisper")),
        short_windows=short,
        learned=learned,
    )


def kept(measured: SetFigures) -> list[bool | None]:
    """Whether the limits of speed and of errors are kept."""
    return [line.met for line in measured.lines()]


def test_ten_times_the_speed_with_fewer_errors_is_enough_on_short_recordings() -> None:
    assert kept(figures(SHORT, {"medasr": side(1.0, 9.0), RIVAL: side(10.0, 9.5)})) == [True, True]
    assert kept(figures(SHORT, {"medasr": side(1.0, 9.6), RIVAL: side(9.9, 9.5)})) == [False, False]


def test_where_windows_are_not_short_no_speed_is_asked_of_short_recordings() -> None:
    assert kept(figures(SHORT, {"medasr": side(1.0, 9.0), RIVAL: side(2.0, 9.5)}, short=False)) == [None, True]


def test_long_recordings_are_held_against_the_faster_and_against_the_better_of_two() -> None:
    sides = {"medasr": side(1.0, 9.0), RIVAL: side(2.4, 12.0), OTHER_RIVAL: side(3.0, 8.0)}
    assert kept(figures(LONG, sides)) == [False, False, True]
    assert kept(figures(LONG, sides | {RIVAL: side(2.6, 12.0), OTHER_RIVAL: side(3.0, 9.0)})) == [True, True, True]


def test_on_long_recordings_no_more_words_may_be_left_out_than_by_the_other() -> None:
    sides = {"medasr": side(1.0, 9.0, dropped=2.0), RIVAL: side(3.0, 9.5, dropped=1.5)}
    assert kept(figures(LONG, sides)) == [True, True, False]


def test_where_it_has_learned_from_the_recordings_the_stock_weights_must_keep_the_limit_as_well() -> None:
    sides = {"medasr": side(1.0, 2.0), "medasr, stock weights": side(1.0, 11.0), RIVAL: side(10.0, 10.0)}
    assert kept(figures(SHORT, sides, learned=True)) == [True, True, False]
    assert kept(figures(SHORT, sides)) == [True, True]
    assert kept(figures(SHORT, sides | {"medasr": side(1.0, 10.5)}, learned=True)) == [True, False, False]


def test_a_program_that_transcribes_a_part_is_compared_by_what_it_does_in_a_second() -> None:
    half = SideFigures(seconds=Spread(values=(10.0,)), audio_seconds=30.0, correctness=side(1.0, 9.0).correctness)
    grid = figures(SHORT, {"medasr": side(1.0, 9.0), RIVAL: side(10.0, 9.5), "slow": half}).grid()
    assert grid.rows["slow, 0.5 min of it"][:2] == (Spread(values=(3.0,)), Spread(values=(20.0,)))


def test_a_program_that_runs_once_is_compared_with_the_first_round() -> None:
    turns: list[str] = []

    def side_of(name: str, seconds: list[float]) -> float:
        turns.append(name)
        return seconds.pop(0)

    quick, slow = [1.0, 2.0, 4.0], [8.0]
    taken = take_turns(
        "test", {"quick": lambda: side_of("quick", quick), "slow": lambda: side_of("slow", slow)}, 3, once=["slow"]
    )
    assert turns.count("slow") == 1
    assert ratio(taken["slow"], taken["quick"]).values == (8.0,)


def test_words_left_out_and_speech_without_text_are_counted_once() -> None:
    written = [Written(text="the heart is", spans=((0.0, 2.0), (1.0, 3.0)))]
    found = judge(["The heart is fine."], written, [[SpeechSpan(start=1.0, end=5.0)]])
    assert found.dropped == found.word_error_rate == 25.0
    assert found.coverage == 50.0


def test_a_program_without_times_has_no_coverage() -> None:
    assert judge(["Yes."], [Written(text="yes")], [[SpeechSpan(start=0.0, end=1.0)]]).coverage is None


@pytest.fixture
def clips(tmp_path: Path) -> list[Normalized]:
    made = []
    for number, word in enumerate(["one", "two"]):
        pcm = tmp_path / word
        times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        pcm.write_bytes((0.3 * np.sin(2 * np.pi * 200 * (number + 1) * times)).astype("<f4").tobytes())
        made.append(Normalized(spoken=Spoken(path=pcm, reference=word), pcm=pcm, seconds=1.0))
    return made


def test_a_consultation_holds_every_word_of_what_it_is_joined_from(clips: list[Normalized], tmp_path: Path) -> None:
    joined = join(clips, 12.0, tmp_path / "joined")
    samples = read_normalized(joined.pcm)
    words = joined.spoken.reference.split()
    assert words == (["one", "two"] * len(words))[: len(words)]
    assert 12.0 <= joined.seconds < 12.0 + 1.0 + 6.0
    assert joined.seconds > len(words)
    assert len(samples) == round(joined.seconds * SAMPLE_RATE)


def test_the_second_half_of_a_consultation_is_noisy_and_no_part_of_it_is_digital_silence(
    clips: list[Normalized], tmp_path: Path
) -> None:
    samples = np.array(read_normalized(join(clips, 30.0, tmp_path / "joined").pcm))
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    quiet = [np.min(np.sqrt(np.mean(part**2, axis=1))) for part in np.array_split(frames, 2)]
    assert quiet[0] > 0
    assert quiet[1] > 10 * quiet[0]
