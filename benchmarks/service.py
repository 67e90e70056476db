"""What the service around the engine costs: recordings per second through the whole daemon and through the model alone.

Three sides take turns on the same recordings, with the same weights, batch size and threads; loading is on nobody's clock.

- *service*: from the drop into the inbox until every transcript is stored and delivered. Settling, copying, hashing, decoding,
  voice activity, terms, store, audit trail and the files in the outbox are all in it.
- *engine*: the model child with its host, given samples that are decoded already.
- *model*: the transcriber itself, in this process, given the very windows, in batches that are always full, as many side by side as in the engine.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.figures import Line, Spread
from benchmarks.homes import delivered, running_daemon, serving_home, wait_until
from benchmarks.options import Options, installed
from benchmarks.speech import Normalized, Spoken, normalized, recordings
from benchmarks.turns import ratio, seconds_of, take_turns
from daemon.config import Config
from daemon.engine.batch import transcribe_all
from daemon.engine.child import load_recognizer
from daemon.engine.engine import Recognizer
from daemon.engine.host import EngineHost
from daemon.engine.options import engine_options
from daemon.engine.protocol import Completed
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from medasr.types import Waveform

#: Of the model's throughput, at least this much has to be left end to end.
SHARE = 0.85


@dataclass(frozen=True, kw_only=True)
class ServiceFigures:
    """Seconds for all recordings, round by round."""

    model: str
    recordings: int
    audio_seconds: float
    windows: int
    service: Spread
    engine: Spread
    direct: Spread

    def lines(self) -> list[Line]:
        sides = {"service": self.service, "engine": self.engine, "model": self.direct}
        return [
            Line(what=f"recordings, {self.model}", value=self.recordings),
            Line(what="windows of up to 30 s", value=self.windows),
            *(Line(what=f"{side}, times real time", value=self._speed(spread)) for side, spread in sides.items()),
            Line(what="engine / model", value=ratio(self.direct, self.engine)),
            Line(what="service / engine", value=ratio(self.engine, self.service)),
            Line(what="service / model", value=ratio(self.direct, self.service), at_least=SHARE),
        ]

    def _speed(self, seconds: Spread) -> Spread:
        return Spread(values=tuple(self.audio_seconds / value for value in seconds.values))


def measure(options: Options) -> list[ServiceFigures]:
    spoken = recordings(options, 48, 6)
    rounds = options.pick(3, 1)
    return [_compare(model, spoken, rounds) for model in options.models]


def _compare(model: str, spoken: Sequence[Spoken], rounds: int) -> ServiceFigures:
    installed(model)
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as folder, serving_home(model) as config:
        samples = normalized(spoken, Path(folder))
        recognizer = load_recognizer(engine_options(config))
        windows = [window for recording in samples for window in _windows(recognizer, recording)]
        sides = {
            "service": partial(_through_service, model, spoken),
            "engine": partial(_through_engine, config, samples),
            "model": partial(seconds_of, partial(_through_model, recognizer, windows, config.model.batch_size)),
        }
        taken = take_turns(f"service, {model}", sides, rounds)
    return ServiceFigures(
        model=model,
        recordings=len(samples),
        audio_seconds=sum(recording.seconds for recording in samples),
        windows=len(windows),
        service=taken["service"],
        engine=taken["engine"],
        direct=taken["model"],
    )


def _through_service(model: str, spoken: Sequence[Spoken]) -> float:
    """Seconds from the drop until the last transcript was delivered; every round has a fresh home, since bytes are taken once."""
    with serving_home(model) as config, running_daemon(config) as daemon:
        staged = config.paths.state.parent / "staged"
        staged.mkdir()
        for number, recording in enumerate(spoken):
            shutil.copyfile(recording.path, staged / f"{number:04d}{recording.path.suffix}")
        dropped = datetime.now(UTC)
        for path in staged.iterdir():
            path.rename(config.paths.inbox / path.name)
        log = config.paths.state.parent / "daemon.log"
        wait_until(lambda: delivered(config)[0] == len(spoken), daemon, log)
        return (datetime.fromisoformat(delivered(config)[1]) - dropped).total_seconds()


def _through_engine(config: Config, samples: Sequence[Normalized]) -> float:
    host = EngineHost(engine_options(config))
    try:
        host.ensure_started()
        while host.ready is None:
            host.poll(0.5)
        began = time.perf_counter()
        events = transcribe_all(host, [(str(number), recording.pcm) for number, recording in enumerate(samples)])
        completed = sum(isinstance(event, Completed) for event in events)
        seconds = time.perf_counter() - began
    finally:
        host.stop()
    if completed != len(samples):
        raise RuntimeError(f"the engine finished {completed} of {len(samples)} recordings")
    return seconds


def _windows(recognizer: Recognizer, recording: Normalized) -> list[Waveform]:
    waveform = read_normalized(recording.pcm)
    _, windows = recognizer.plan(waveform)
    return [
        np.array(waveform[round(window.start * SAMPLE_RATE) : round(window.end * SAMPLE_RATE)]) for window in windows
    ]


def _through_model(recognizer: Recognizer, windows: Sequence[Waveform], batch_size: int) -> None:
    batches = [windows[first : first + batch_size] for first in range(0, len(windows), batch_size)]
    transcriber, numbers = recognizer.transcriber, itertools.count()
    with ThreadPoolExecutor(transcriber.lanes, initializer=lambda: transcriber.enter_lane(next(numbers))) as lanes:
        list(lanes.map(transcriber.transcribe, batches))
