"""Transcribers for tests of the model child: small, deterministic, and able to fail in every way a model fails.

They run in a child of their own, started by :func:`engine_command`. How a window is treated, its first sample says (:class:`Mark`);
:func:`write_recording` writes recordings with such windows.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import TypeAdapter

from daemon.engine.child import main
from daemon.engine.engine import Recognizer
from daemon.engine.protocol import EngineOptions
from daemon.sections import Model, Quality, Speech
from medasr.errors import ModelError
from medasr.quality import QualityThresholds
from medasr.recognition import assemble
from medasr.types import SAMPLE_RATE, Hypothesis, HypothesisSegment, ModelVersion, SpeechSpan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from daemon.engine.host import EngineHost
    from daemon.engine.protocol import EngineEvent
    from medasr.types import Waveform

#: Windows of these recordings are this long, to keep the files small.
WINDOW_SECONDS = 0.01


#: How long a window marked LONG is computed.
LONG_SECONDS = 0.5


class Mark(Enum):
    """A window's first sample, and what becomes of whoever transcribes it."""

    SPEECH = 0.5
    SILENCE = 0.0  # not handed to the transcriber
    SEGFAULT = -0.1
    ERROR = -0.2  # raises, with patient text in the message
    HANG = -0.3
    KILL = -0.4  # as the kernel's out-of-memory killer does
    MEMORY = -0.5  # does not fit, however small the batch
    PRINT = -0.6  # writes to stdout, as libraries do
    ASIDE = -0.7  # MEMORY on CUDA, fits on the CPU
    LONG = -0.8  # is computed for so long that other recordings arrive meanwhile


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """What the child as a whole does."""

    loading: Literal["well", "segfault", "hang", "memory", "model error"] = "well"
    cuda: bool = False  #: claims to be on CUDA unless told to use the CPU
    lanes: int = 1
    fits: int = 1000  #: windows; larger batches are too much for the memory
    refuses: str = ""  #: the name of an adapter's folder that cannot be loaded
    dies_of: str = ""  #: the name of an adapter's folder whose loading ends the process


class ScriptedTranscriber:
    """Writes down how many samples a window has and how many windows shared its batch."""

    def __init__(self, behaviour: Behaviour, device: str, precision: str) -> None:
        self.device = device
        self.version = ModelVersion(
            base_id="scripted",
            base_revision="1",
            base_sha256="0" * 64,
            adapter_sha256=None,
            precision=precision,
        )
        self.lanes = behaviour.lanes
        self._fits = behaviour.fits
        self.named: list[tuple[str, ...]] = []

    def context(self, seconds: float) -> float:
        """See :class:`medasr.whisper.transcriber.Transcriber`."""
        return max(seconds, WINDOW_SECONDS * 2)

    def enter_lane(self, number: int) -> None:
        """See :class:`medasr.whisper.transcriber.Transcriber`."""

    def transcribe(self, windows: Sequence[Waveform], lists: Sequence[str] = ()) -> list[Hypothesis]:
        """See :class:`medasr.whisper.transcriber.Transcriber`."""
        self.named.append(tuple(lists))
        for window in windows:
            self._suffer(float(window[0]))
        if len(windows) > self._fits:
            raise MemoryError
        return [self._hypothesis(window, len(windows)) for window in windows]

    def _suffer(self, sample: float) -> None:
        mark = next(mark for mark in Mark if abs(mark.value - sample) < 0.01)
        if mark is Mark.SEGFAULT:
            ctypes.string_at(0)
        elif mark is Mark.ERROR:
            raise RuntimeError("device-side assert while writing 'the patient takes lisinopril'")
        elif mark is Mark.HANG:
            threading.Event().wait()
        elif mark is Mark.LONG:
            threading.Event().wait(LONG_SECONDS)
        elif mark is Mark.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif mark is Mark.PRINT:
            print("the patient takes lisinopril", flush=True)  # noqa: T201
        elif mark is Mark.MEMORY or (mark is Mark.ASIDE and self.device != "cpu"):
            raise MemoryError

    def _hypothesis(self, window: Waveform, together: int) -> Hypothesis:
        text = f"{len(window)} samples in a batch of {together}"
        segment = HypothesisSegment(start=0.0, end=len(window) / SAMPLE_RATE, text=text, mean_log_probability=-0.1)
        return Hypothesis(
            text=text,
            segments=(segment,),
            mean_log_probability=-0.1,
            no_speech_probability=0.0,
            compression_ratio=1.0,
        )


def load_scripted(behaviour: Behaviour, options: EngineOptions) -> Recognizer:
    """What a child loads instead of Whisper."""
    dies = behaviour.dies_of and options.model.adapter.endswith(behaviour.dies_of)
    if behaviour.loading == "segfault" or dies:
        ctypes.string_at(0)
    elif behaviour.loading == "hang":
        threading.Event().wait()
    elif behaviour.refuses and options.model.adapter.endswith(behaviour.refuses):
        raise ModelError("the adapter does not fit the model; use another one")
    elif behaviour.loading == "model error":
        raise ModelError("the weights have another sha256; run `medasrd models pull`")
    elif behaviour.loading == "memory" and options.model.device != "cpu":
        raise MemoryError
    on_cuda = behaviour.cuda and options.model.device != "cpu"
    transcriber = ScriptedTranscriber(behaviour, "cuda:0" if on_cuda else "cpu", options.model.precision)
    thresholds = QualityThresholds()
    return Recognizer(
        transcriber=transcriber,
        plan=_plan,
        assemble=lambda windows, hypotheses, speech: assemble(windows, hypotheses, speech, "en", thresholds),
    )


def _plan(waveform: Waveform) -> tuple[list[SpeechSpan], list[SpeechSpan]]:
    """Every window that is not marked as silence is speech."""
    samples = round(WINDOW_SECONDS * SAMPLE_RATE)
    starts = [first for first in range(0, len(waveform), samples) if waveform[first] != Mark.SILENCE.value]
    spans = [SpeechSpan(start=first / SAMPLE_RATE, end=(first + samples) / SAMPLE_RATE) for first in starts]
    return spans, spans


def write_recording(path: Path, *marks: Mark) -> Path:
    """Write normalized audio with one window a mark."""
    samples = np.full((len(marks), round(WINDOW_SECONDS * SAMPLE_RATE)), 0.25, dtype="<f4")
    samples[:, 0] = [mark.value for mark in marks]
    samples.tofile(path)
    return path


def engine_command(behaviour: Behaviour | None = None) -> list[str]:
    """The command of a child that behaves so."""
    document = TypeAdapter(Behaviour).dump_json(behaviour or Behaviour()).decode()
    return [sys.executable, "-P", "-m", "tests.support.transcribers", document]


def engine_options(folder: Path, **model: object) -> EngineOptions:
    """Options with generous limits; ``model`` overrides fields of the configuration's ``[model]``."""
    return EngineOptions(
        models=folder,
        model=Model(**{"batch_size": 8, **model}),  # type: ignore[arg-type]
        speech=Speech(),
        quality=Quality(),
        load_seconds=1000.0,
        hang_seconds=1000.0,
    )


def poll_until(
    host: EngineHost, done: Callable[[list[EngineEvent]], bool], each: Callable[[], None] = lambda: None
) -> list[EngineEvent]:
    """Poll, doing ``each`` before every turn, until the events so far are what was waited for; return them."""
    events: list[EngineEvent] = []
    while not done(events):
        each()
        events += host.poll(0.05)
    return events


if __name__ == "__main__":
    main(partial(load_scripted, TypeAdapter(Behaviour).validate_json(sys.argv[1])))
