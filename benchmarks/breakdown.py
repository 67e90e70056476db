"""Where the time goes, from the inbox to the outbox: for many short recordings, and for a consultation of ten minutes.

The parts of the service run one after the other in this process (``one_process``) on one core, where the service has a batch in work on
each, and their calls are wrapped here; the product holds no timers. Of the parts that multiply matrices, the operations are counted from the
shapes that were computed, and held against the fastest product of large matrices on the same core in the same precision: what is left to
that is what better code could win at most.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import torch

import daemon.worker
from benchmarks.arithmetic import Machine, best_of, counting, counting_sound, encoder_operations
from benchmarks.dropped import write_long
from benchmarks.figures import Line, Spread, tell
from benchmarks.homes import serving_home
from benchmarks.one_process import DECODE, INTAKE, REST, TEXTS, VOICE, transcribe_here
from benchmarks.options import Options, installed
from benchmarks.speech import recordings
from benchmarks.stopwatch import Stopwatch
from daemon.delivery import Delivery
from daemon.engine.child import load_recognizer
from daemon.engine.options import engine_options
from medasr.types import SAMPLE_RATE
from medasr.whisper import alignment, beams, context, decoding, transcriber

if TYPE_CHECKING:
    from daemon.engine.engine import Recognizer

LOG_MEL, ENCODER, SOUND, DECODER, CONTINUATION, WORD_TIMES, STORE, DELIVERY = (
    "log-mel spectrogram",
    "encoder",
    "keys and values of the sound",
    "decoder",
    "continuation (all of it)",
    "times of words",
    "transcript into the store",
    "files for people",
)
STAGES = (
    INTAKE,
    DECODE,
    VOICE,
    LOG_MEL,
    ENCODER,
    SOUND,
    DECODER,
    CONTINUATION,
    WORD_TIMES,
    TEXTS,
    STORE,
    DELIVERY,
    REST,
)
#: Those whose operations are held against the machine's. The decoder reads all weights for every token besides.
_MULTIPLYING = (ENCODER, SOUND, DECODER)
_KINDS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One round over one load: seconds, operations and bytes to be read, by stage."""

    audio_seconds: float
    seconds: dict[str, float]
    operations: dict[str, float]
    bytes_read: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def rate(self, counted: dict[str, float], stage: str) -> float:
        """So much a second; none in a stage that there was nothing to do for."""
        return counted[stage] / self.seconds[stage] if stage in counted else 0.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was transcribed, and how it went, round by round."""

    what: str
    runs: tuple[Run, ...]

    def lines(self, machine: Machine) -> list[Line]:
        total = Spread(values=tuple(run.total for run in self.runs))
        speed = Spread(values=tuple(run.audio_seconds / run.total for run in self.runs))
        return [
            Line(what=f"{self.what}: all of it", value=total, unit="s"),
            Line(what="times real time", value=speed),
            *(self._stage(stage, total) for stage in STAGES),
            *(self._operations(stage, machine) for stage in _MULTIPLYING),
            self._reading(DECODER, machine),
        ]

    def _stage(self, stage: str, total: Spread) -> Line:
        seconds = Spread(values=tuple(run.seconds.get(stage, 0.0) for run in self.runs))
        return Line(what=f"  {stage}", value=seconds, unit=f"s, {100 * seconds.median / total.median:.1f} %")

    def _operations(self, stage: str, machine: Machine) -> Line:
        shares = Spread(values=tuple(100 * run.rate(run.operations, stage) / machine.operations for run in self.runs))
        return Line(what=f"{stage}: of the fastest product", value=shares, unit="%")

    def _reading(self, stage: str, machine: Machine) -> Line:
        shares = Spread(values=tuple(100 * run.rate(run.bytes_read, stage) / machine.bytes_read for run in self.runs))
        return Line(what=f"{stage}: of the fastest reading", value=shares, unit="%")


@dataclass(frozen=True, kw_only=True)
class BreakdownFigures:
    """One model."""

    model: str
    precision: str
    machine: Machine
    loads: tuple[Load, ...]

    def lines(self) -> list[Line]:
        return [
            Line(
                what=f"{self.model} ({self.precision}): the fastest product of large matrices",
                value=self.machine.operations / 1e9,
                unit="GFLOP/s",
            ),
            Line(what="the fastest reading of a large array", value=self.machine.bytes_read / 1e9, unit="GB/s"),
            *(line for load in self.loads for line in load.lines(self.machine)),
        ]


def measure(options: Options) -> list[BreakdownFigures]:
    spoken = recordings(options, 48, 6)
    minutes = options.pick(10, 1)
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as folder:
        write_long(Path(folder), spoken, 60.0 * minutes)
        loads = {
            f"{len(spoken)} short recordings": [recording.path for recording in spoken],
            f"a consultation of {minutes} min": [Path(folder) / "long.wav"],
        }
        return [break_down(model, loads, options) for model in options.models]


def break_down(model: str, loads: dict[str, list[Path]], options: Options) -> BreakdownFigures:
    installed(model)
    with serving_home(model) as config:
        told = engine_options(config)
        told = replace(told, model=told.model.model_copy(update={"threads": 1}))
        recognizer = load_recognizer(told)
    recognizer.transcriber.transcribe([np.zeros(SAMPLE_RATE, dtype=np.float32)])
    precision, device = recognizer.transcriber.version.precision, recognizer.transcriber.device
    kind = _KINDS.get(precision, torch.bfloat16)  # four-bit weights are multiplied as these
    runs: dict[str, list[Run]] = {what: [] for what in loads}
    measured = [best_of(kind, device, options.pick(5, 0))]
    for number in range(rounds := options.pick(3, 1)):
        for what, paths in loads.items():
            tell(f"breakdown, {model}: round {number + 1} of {rounds}, {what}")
            runs[what].append(_run(model, recognizer, told.model.batch_size, paths))
        measured.append(best_of(kind, device, options.pick(5, 0)))
    return BreakdownFigures(
        model=model,
        precision=precision,
        machine=Machine(
            operations=max(one.operations for one in measured), bytes_read=max(one.bytes_read for one in measured)
        ),
        loads=tuple(Load(what=what, runs=tuple(runs[what])) for what in loads),
    )


def _run(model: str, recognizer: Recognizer, batch_size: int, paths: Sequence[Path]) -> Run:
    stopwatch = Stopwatch(_clock(recognizer.transcriber.device))
    operations: defaultdict[str, float] = defaultdict(float)
    bytes_read: defaultdict[str, float] = defaultdict(float)

    def note(computed: float, read: float) -> None:
        operations[stopwatch.stage] += computed
        bytes_read[stopwatch.stage] += read

    with serving_home(model) as config, _measured(stopwatch, note):
        audio_seconds = transcribe_here(config, recognizer, batch_size, paths, stopwatch)
    return Run(
        audio_seconds=audio_seconds,
        seconds=dict(stopwatch.seconds),
        operations=dict(operations),
        bytes_read=dict(bytes_read),
    )


def _clock(device: str) -> Callable[[], float]:
    """Time at which the device has done what it was told."""
    if not device.startswith("cuda"):
        return time.perf_counter

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


@contextmanager
def _measured(stopwatch: Stopwatch, note: Callable[[float, float], None]) -> Iterator[None]:
    """Wrap what the parts call, for as long as this lasts."""

    def encode(network: Any, features: torch.Tensor) -> torch.Tensor:
        with stopwatch.running(ENCODER):
            note(encoder_operations(network.config, len(features), features.shape[-1]), 0)
            return context.encode(network, features)

    decoder = counting(note)
    timed = (
        (transcriber, "log_mel", LOG_MEL),
        (transcriber, "Sound", SOUND),
        (transcriber, "decode", DECODER),
        (transcriber, "search", DECODER),
        (transcriber, "align", WORD_TIMES),
        (transcriber, "hypothesis_of", TEXTS),
        (daemon.worker, "store_result", STORE),
        (Delivery, "turn", DELIVERY),
    )
    with ExitStack() as stack:
        stack.enter_context(patch.object(transcriber, "Sound", counting_sound(note)))
        for owner, name, stage in timed:
            stack.enter_context(patch.object(owner, name, stopwatch.timed(stage, getattr(owner, name))))
        go_on = stopwatch.timed(CONTINUATION, transcriber.WhisperTranscriber._go_on, whole=True)
        stack.enter_context(patch.object(transcriber.WhisperTranscriber, "_go_on", go_on))
        stack.enter_context(patch.object(transcriber, "encode", encode))
        for module in (decoding, beams, alignment):
            stack.enter_context(patch.object(module, "CachedDecoder", decoder))
        yield
