"""Voice activity: which stretches of a recording hold speech, and the windows in which they are transcribed.

The detector is Silero VAD v6 (https://github.com/snakers4/silero-vad, MIT), its ONNX graph for whole frame sequences. The
package is only asked where its file lies: importing it would import torch and set torch to one thread.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medasr.audio import let_go
from medasr.errors import ModelError
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS, SpeechSpan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from medasr.types import Waveform

    Probabilities = NDArray[np.float32]

#: Samples the detector judges at a time (32 ms), and how many samples before them it sees as well.
FRAME_SAMPLES = 512
_CONTEXT_SAMPLES = 64

#: Frames handed over in one call, about 16 s: memory stays flat however long the recording.
_BLOCK_FRAMES = 512

#: Speech that has begun goes on until the probability falls this far below the threshold (Silero's own hysteresis).
_HYSTERESIS = 0.15

#: Whisper takes 30 s, but what is spoken up to the last second it takes for cut off, and leaves to a next window that never comes.
#: With 2 s of silence after the speech it writes everything: 8.2 % → 7.0 % word error rate over 16 minutes of joined recordings.
LONGEST_WINDOW_SECONDS = WINDOW_SECONDS - 2.0

#: A cut inside speech is made where the probability, averaged over this many frames, is lowest.
_CUT_FRAMES = 7


@dataclass(frozen=True, kw_only=True)
class SpeechOptions:
    """What counts as speech; the fields of the configuration's ``[speech]``."""

    threshold: float = 0.5  #: speech probability from which a frame counts as speech
    min_speech_seconds: float = 0.25  #: shorter bursts are not speech
    min_silence_seconds: float = 0.5  #: shorter pauses do not end a span
    pad_seconds: float = 0.2  #: kept on both sides of a span
    join_seconds: float = 3.0  #: spans with a pause up to this share a window


class SpeechDetector:
    """Silero VAD on one thread; load once, use for any number of recordings, one at a time."""

    def __init__(self, options: SpeechOptions) -> None:
        """Load the detector; raise ModelError when its file is not installed."""
        import onnxruntime

        self._options = options
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(_detector_file()), sess_options=settings, providers=["CPUExecutionProvider"]
        )

    def detect(self, waveform: Waveform) -> list[SpeechSpan]:
        """Given a recording (an array or a memory map of any length), return its speech in order, without overlaps.

        No span is longer than :data:`LONGEST_WINDOW_SECONDS`: longer speech is cut where it is most like a pause.
        """
        return spans_of(self.probabilities(waveform), self._options, len(waveform))

    def probabilities(self, waveform: Waveform) -> Probabilities:
        """The probability of speech in every frame of :data:`FRAME_SAMPLES`, shape ``[ceil(n / FRAME_SAMPLES)]``."""
        hidden = cell = np.zeros((1, 1, 128), dtype=np.float32)
        judged = [np.zeros(0, dtype=np.float32)]
        for block in _blocks(waveform):
            values, hidden, cell = self._session.run(
                ["speech_probs", "hn", "cn"], {"input": block, "h": hidden, "c": cell}
            )
            judged.append(values)
        return np.concatenate(judged)


def spans_of(probabilities: Probabilities, options: SpeechOptions, total_samples: int) -> list[SpeechSpan]:
    """Given speech probabilities by frame, return padded spans of at most 28 s within ``total_samples``."""
    total = total_samples / SAMPLE_RATE
    frame = FRAME_SAMPLES / SAMPLE_RATE
    longest = int((LONGEST_WINDOW_SECONDS - 2 * options.pad_seconds) / frame)
    pieces = [
        piece for first, last in _runs(probabilities, options) for piece in _cut(first, last, longest, probabilities)
    ]
    spans: list[SpeechSpan] = []
    for index, (first, last) in enumerate(pieces):
        # Neighbours share a pause that is too short for both pads.
        earliest = (pieces[index - 1][1] + first) / 2 if index else 0
        latest = (last + pieces[index + 1][0]) / 2 if index + 1 < len(pieces) else len(probabilities)
        start = max(first * frame - options.pad_seconds, earliest * frame)
        end = min(last * frame + options.pad_seconds, latest * frame, total)
        spans.append(SpeechSpan(start=start, end=end))
    return spans


def plan_windows(spans: Sequence[SpeechSpan], options: SpeechOptions) -> list[SpeechSpan]:
    """Group speech spans, in order, each as :func:`spans_of` gives it, into the windows that are transcribed one by one.

    Neighbours with a pause of at most ``join_seconds`` share a window while it stays within :data:`LONGEST_WINDOW_SECONDS`: the model
    hears better with context. No speech, no windows.
    """
    windows: list[SpeechSpan] = []
    for span in spans:
        if windows:
            joined = SpeechSpan(start=windows[-1].start, end=span.end)
            if span.start - windows[-1].end <= options.join_seconds and joined.seconds <= LONGEST_WINDOW_SECONDS:
                windows[-1] = joined
                continue
        windows.append(span)
    return windows


def _detector_file() -> Path:
    package = importlib.util.find_spec("silero_vad")
    for folder in (package.submodule_search_locations or []) if package else []:
        path = Path(folder, "data", "silero_vad_16k_sequence.onnx")
        if path.is_file():
            return path
    raise ModelError(
        "the speech detector's file is missing; install it again: pip install --force-reinstall 'silero-vad>=6.2.3'"
    )


def _blocks(waveform: Waveform) -> Iterator[NDArray[np.float32]]:
    """Frames with their context, shape ``[at most _BLOCK_FRAMES, context + frame]``; the last one is filled with silence."""
    block_samples = _BLOCK_FRAMES * FRAME_SAMPLES
    context = np.zeros(_CONTEXT_SAMPLES, dtype=np.float32)
    for first in range(0, len(waveform), block_samples):
        samples = np.asarray(waveform[first : first + block_samples], dtype=np.float32)
        samples = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        with_context = np.concatenate((context, samples))
        context = samples[-_CONTEXT_SAMPLES:]
        frames = np.lib.stride_tricks.sliding_window_view(with_context, _CONTEXT_SAMPLES + FRAME_SAMPLES)
        let_go(waveform)  # of a map all that was read would stay: 230 MB an hour
        yield np.ascontiguousarray(frames[::FRAME_SAMPLES])


def _runs(probabilities: Probabilities, options: SpeechOptions) -> Iterator[tuple[int, int]]:
    """Runs of speech as (first frame, frame after the last): pauses that are too short bridged, bursts dropped."""
    frames_per_second = SAMPLE_RATE / FRAME_SAMPLES
    min_speech, min_silence = (
        options.min_speech_seconds * frames_per_second,
        options.min_silence_seconds * frames_per_second,
    )
    leave = max(options.threshold - _HYSTERESIS, 0.01)
    first: int | None = None
    pause: int | None = None
    # A Python loop over the few frames at which something may change, not over all of them.
    eventful = np.flatnonzero((probabilities >= options.threshold) | (probabilities < leave))
    for frame in eventful.tolist():
        if probabilities[frame] >= options.threshold:
            first, pause = (frame if first is None else first), None
        elif first is not None:
            pause = frame if pause is None else pause
            if frame - pause >= min_silence:
                if pause - first > min_speech:
                    yield first, pause
                first = pause = None
    if first is not None and len(probabilities) - first > min_speech:
        yield first, len(probabilities) if pause is None else pause


def _cut(first: int, last: int, longest: int, probabilities: Probabilities) -> Iterator[tuple[int, int]]:
    """Cut a run into pieces of at most ``longest`` frames, each cut where its second half is most like a pause."""
    while last - first > longest:
        half = first + longest // 2
        smooth = np.convolve(probabilities[half : first + longest], np.full(_CUT_FRAMES, 1 / _CUT_FRAMES), mode="valid")
        middle = half + int(np.argmin(smooth)) + _CUT_FRAMES // 2
        yield first, middle
        first = middle
    yield first, last
