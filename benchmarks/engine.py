"""Speed and accuracy of the engine beside faster-whisper, on the same weights, samples, threads and greedy decoding.

Both get recordings one after the other as decoded samples, look for speech with Silero VAD themselves, and write timestamps. For
information: nothing is limited here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import ctranslate2
from benchmarks.figures import Line, Spread
from benchmarks.homes import temporary_home
from benchmarks.options import Options, cores, installed
from benchmarks.speech import Normalized, normalized, recordings, word_error_rate
from benchmarks.turns import ratio, seconds_of, take_turns
from daemon.engine.child import load_recognizer
from daemon.engine.options import engine_options
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.types import Waveform

    #: Samples of all recordings → a text for each.
    Transcribe = Callable[[Sequence[Waveform]], list[str]]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One program: seconds for all recordings, round by round, and its word error rate."""

    seconds: Spread
    word_error_rate: float


@dataclass(frozen=True, kw_only=True)
class EngineFigures:
    """All programs on one model."""

    model: str
    recordings: int
    audio_seconds: float
    sides: Mapping[str, Side]

    def lines(self) -> list[Line]:
        speeds = [
            Line(
                what=f"{name}, times real time",
                value=Spread(values=tuple(self.audio_seconds / s for s in side.seconds.values)),
            )
            for name, side in self.sides.items()
        ]
        ratios = [
            Line(what=f"speed of medasr / {name}", value=ratio(side.seconds, self.sides["medasr"].seconds))
            for name, side in self.sides.items()
            if name != "medasr"
        ]
        errors = [
            Line(what=f"{name}, word error rate", value=100 * side.word_error_rate, unit="%")
            for name, side in self.sides.items()
        ]
        return [Line(what=f"recordings, {self.model}", value=self.recordings), *speeds, *ratios, *errors]


def measure(options: Options) -> list[EngineFigures]:
    spoken = recordings(options, 48, 6)
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as folder:
        samples = normalized(spoken, Path(folder))
        return [_compare(model, samples, options.pick(3, 1)) for model in options.models]


def _compare(model: str, samples: Sequence[Normalized], rounds: int) -> EngineFigures:
    sides: dict[str, Transcribe] = {"medasr": _medasr(model)}
    for precision in ("float32", "int8"):
        sides[f"faster-whisper {precision}"] = _faster_whisper(model, precision)
    waveforms = [np.array(read_normalized(recording.pcm)) for recording in samples]
    texts = {name: transcribe(waveforms) for name, transcribe in sides.items()}  # the same in every round
    timed = {name: partial(seconds_of, partial(transcribe, waveforms)) for name, transcribe in sides.items()}
    seconds = take_turns(f"engine, {model}", timed, rounds)
    references = [recording.spoken.reference for recording in samples]
    return EngineFigures(
        model=model,
        recordings=len(samples),
        audio_seconds=sum(recording.seconds for recording in samples),
        sides={
            name: Side(seconds=seconds[name], word_error_rate=word_error_rate(references, texts[name]))
            for name in sides
        },
    )


def _medasr(model: str) -> Transcribe:
    installed(model)
    with temporary_home(model={"base": model, "threads": cores()}) as config:
        recognizer = load_recognizer(engine_options(config))
        batch_size = config.model.batch_size

    def transcribe(waveforms: Sequence[Waveform]) -> list[str]:
        """As the engine does it: windows of several recordings in one batch."""
        plans = [recognizer.plan(waveform) for waveform in waveforms]
        windows = [
            waveform[round(window.start * SAMPLE_RATE) : round(window.end * SAMPLE_RATE)]
            for waveform, (_, planned) in zip(waveforms, plans, strict=True)
            for window in planned
        ]
        batches = range(0, len(windows), batch_size)
        written = iter(
            [
                hypothesis
                for first in batches
                for hypothesis in recognizer.transcriber.transcribe(windows[first : first + batch_size])
            ]
        )
        return [
            recognizer.assemble(planned, [next(written) for _ in planned], speech).text for speech, planned in plans
        ]

    return transcribe


def _faster_whisper(model: str, precision: str) -> Transcribe:
    from faster_whisper import WhisperModel

    loaded: Any = WhisperModel(
        str(ctranslate2.folder(model)), device="cpu", compute_type=precision, cpu_threads=cores(), local_files_only=True
    )

    def transcribe(waveforms: Sequence[Waveform]) -> list[str]:
        texts = []
        for waveform in waveforms:
            segments, _ = loaded.transcribe(
                waveform,
                language="en",
                beam_size=1,
                temperature=0.0,
                condition_on_previous_text=False,
                vad_filter=True,
            )
            texts.append(" ".join(segment.text.strip() for segment in segments))
        return texts

    return transcribe
