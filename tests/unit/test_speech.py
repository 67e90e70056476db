"""Which stretches of a recording are speech, and the windows made of them."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.audio import read_normalized
from medasr.speech import FRAME_SAMPLES, LONGEST_WINDOW_SECONDS, SpeechDetector, SpeechOptions, plan_windows, spans_of
from medasr.types import SAMPLE_RATE, SpeechSpan
from tests.support.speech import NON_SPEECH

OPTIONS = SpeechOptions(min_speech_seconds=0.25, min_silence_seconds=0.5, pad_seconds=0.2, join_seconds=3.0)
FRAME = FRAME_SAMPLES / SAMPLE_RATE


def judged(*stretches: tuple[float, float]) -> list[SpeechSpan]:
    """The spans found where the detector gave each (seconds, probability) in turn."""
    frames = [np.full(round(seconds / FRAME), probability, np.float32) for seconds, probability in stretches]
    probabilities = np.concatenate(frames)
    return spans_of(probabilities, OPTIONS, len(probabilities) * FRAME_SAMPLES)


def rounded(spans: list[SpeechSpan]) -> list[tuple[float, float]]:
    return [(round(span.start, 1), round(span.end, 1)) for span in spans]


def test_speech_is_found_with_a_little_room_on_both_sides() -> None:
    assert rounded(judged((1.0, 0.0), (2.0, 0.9), (1.0, 0.0))) == [(0.8, 3.2)]


def test_the_room_ends_with_the_recording() -> None:
    assert rounded(judged((2.0, 0.9))) == [(0.0, 2.0)]


def test_a_pause_that_is_too_short_does_not_end_a_span() -> None:
    assert len(judged((1.0, 0.9), (0.4, 0.0), (1.0, 0.9))) == 1
    assert len(judged((1.0, 0.9), (0.6, 0.0), (1.0, 0.9))) == 2


def test_speech_fading_below_the_threshold_goes_on() -> None:
    assert len(judged((1.0, 0.9), (1.0, 0.4), (1.0, 0.9))) == 1


def test_a_short_burst_is_not_speech() -> None:
    assert judged((1.0, 0.0), (0.2, 0.9), (1.0, 0.0)) == []


def test_an_empty_recording_holds_no_speech() -> None:
    assert spans_of(np.zeros(0, np.float32), OPTIONS, 0) == []
    assert plan_windows([], OPTIONS) == []


def test_speech_longer_than_a_window_is_cut_where_it_is_most_like_a_pause() -> None:
    spans = judged((20.0, 0.9), (0.3, 0.45), (20.0, 0.9))
    assert len(spans) == 2
    assert spans[0].end == pytest.approx(20.15, abs=0.3)
    assert spans[1].start == pytest.approx(spans[0].end)


@given(
    st.lists(st.tuples(st.floats(0.03, 70), st.floats(0, 1)), min_size=1, max_size=12),
    st.floats(0, 1.0),
)
def test_spans_are_ordered_disjoint_within_the_recording_and_fit_a_window(
    stretches: list[tuple[float, float]], pad: float
) -> None:
    frames = np.concatenate([np.full(max(round(s / FRAME), 1), p, np.float32) for s, p in stretches])
    total = len(frames) * FRAME_SAMPLES - 100
    spans = spans_of(frames, SpeechOptions(pad_seconds=pad), total)
    bounds = [time for span in spans for time in (span.start, span.end)]
    assert bounds == sorted(bounds)
    assert all(0 < span.seconds <= LONGEST_WINDOW_SECONDS for span in spans)
    assert all(span.start >= 0 and span.end <= total / SAMPLE_RATE for span in spans)


def test_spans_with_a_short_pause_share_a_window() -> None:
    spans = [SpeechSpan(start=0, end=4), SpeechSpan(start=6, end=9), SpeechSpan(start=13, end=15)]
    assert plan_windows(spans, OPTIONS) == [SpeechSpan(start=0, end=9), SpeechSpan(start=13, end=15)]


def test_a_window_is_closed_while_two_of_its_thirty_seconds_are_left() -> None:
    spans = [SpeechSpan(start=0, end=20), SpeechSpan(start=21, end=28), SpeechSpan(start=29, end=40)]
    assert plan_windows(spans, OPTIONS) == [SpeechSpan(start=0, end=28), SpeechSpan(start=29, end=40)]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 28)), max_size=30))
def test_every_span_lies_in_exactly_one_window_that_is_not_too_long(lengths: list[tuple[float, float]]) -> None:
    spans, time = [], 0.0
    for pause, seconds in lengths:
        spans.append(SpeechSpan(start=time + pause, end=time + pause + min(seconds, LONGEST_WINDOW_SECONDS) - 1e-6))
        time = spans[-1].end
    windows = plan_windows(spans, OPTIONS)
    assert all(window.seconds <= LONGEST_WINDOW_SECONDS for window in windows)
    assert all(one.end <= other.start for one, other in itertools.pairwise(windows))
    for span in spans:
        assert sum(window.start <= span.start and span.end <= window.end for window in windows) == 1


@pytest.mark.parametrize("name", NON_SPEECH)
def test_silence_noise_and_tones_are_not_speech(name: str) -> None:
    assert SpeechDetector(OPTIONS).detect(NON_SPEECH[name]()) == []


def test_a_recording_is_judged_the_same_in_memory_and_as_a_memory_map(tmp_path) -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 40 * SAMPLE_RATE + 77).astype(np.float32)
    waveform.tofile(tmp_path / "pcm")
    detector = SpeechDetector(OPTIONS)
    mapped = np.memmap(tmp_path / "pcm", np.float32, mode="r")
    in_memory = detector.probabilities(waveform)
    assert in_memory.shape == (-(-len(waveform) // FRAME_SAMPLES),)
    assert np.array_equal(in_memory, detector.probabilities(mapped))


def test_of_a_recording_that_is_mapped_nothing_stays_in_memory_when_its_speech_is_found(tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * SAMPLE_RATE).astype(np.float32)
    waveform.tofile(tmp_path / "pcm")
    mapped = read_normalized(tmp_path / "pcm")
    assert mapped.sum() != 0.0
    assert resident(tmp_path / "pcm") >= waveform.nbytes
    SpeechDetector(OPTIONS).detect(mapped)
    assert resident(tmp_path / "pcm") == 0
    assert np.array_equal(mapped, waveform)


def resident(file: Path) -> int:
    """How many bytes of a file are mapped into this process and in its memory."""
    maps = Path("/proc/self/smaps").read_text(encoding="utf-8")
    return sum(
        int(kilobytes) * 1024 for kilobytes in re.findall(rf"{re.escape(str(file))}\n.*\n.*\n.*\nRss: +(\d+) kB", maps)
    )


def test_detection_needs_no_torch() -> None:
    program = (
        "import sys, numpy; from medasr.speech import SpeechDetector, SpeechOptions;"
        "SpeechDetector(SpeechOptions()).detect(numpy.zeros(16000, numpy.float32));"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
