"""Settings against each other: the same recordings through model processes as the daemon starts them.

The untuned setting is every other's opponent. Its process stays, the other's is started, and they take turns; ratios are formed round
by round, so that what else the machine does hits both alike. Two models are in memory at a time.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daemon import home
from daemon.engine.batch import transcribe_all
from daemon.engine.host import EngineHost
from daemon.engine.options import engine_options
from daemon.engine.protocol import Completed, Died, EngineOptions, Failed
from daemon.evaluation.courtesy import LOOK_SECONDS, stand_back
from daemon.registry.serving import adapter_identity
from daemon.tuning.examination import in_words
from daemon.tuning.machine import available_memory, this_machine
from daemon.tuning.setting import (
    BATCH_SIZES,
    Accuracy,
    Outcome,
    Setting,
    batches_to_try,
    choose,
    judged,
    precisions_to_try,
    threads_to_try,
    wishes_of,
)
from daemon.tuning.speech import Speech, decoded_speech
from daemon.tuning.tuning import Tuning
from medasr.errors import ConfigurationError, ModelError, TransientError
from medasr.metrics.rates import word_error_rate
from medasr.packs import locate
from medasr.text.normalizers import text_normalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from daemon.config import Config

    #: Hears which setting is measured, and how many of how many passes are done.
    Progress = Callable[[str, int, int], None]
    #: The fastest setting so far → what to try next.
    _Stage = Callable[[Setting], list[Setting]]

#: Each a window of its own; larger batches than these fill are not tried.
RECORDINGS = 32
#: Passes of each of two settings that are counted, after one that warms up.
ROUNDS = 3
#: A setting that takes so many times as long in its first round gets no further ones.
HOPELESS = 1.5

_FP32_BYTES = 4
#: Encoded positions of a window of 30 s, for each of which every decoder layer keeps a key and a value in at most fp32.
_POSITIONS = 1500
#: As much memory as for the keys and values again, for what is computed beside them.
_BESIDE = 2


@dataclass(kw_only=True)
class _Run:
    """What happened to a setting."""

    setting: Setting
    warm: float = 0.0  #: seconds of the first pass
    texts: dict[str, str] = field(default_factory=dict)  #: by recording
    seconds: list[float] = field(default_factory=list)  #: a round each
    ratios: list[float] = field(default_factory=list)
    unfit: str = ""  #: why it did not run, in words


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """A setting that does not run here as it says."""


def tune(config: Config, progress: Progress) -> Tuning:
    """Measure what the configuration leaves to choose, with the model that serves, and return the fastest and all figures.

    Nothing is stored. While a daemon has recordings to transcribe, this waits. Raise ConfigurationError where nothing is left to
    choose, ModelError when the model cannot be loaded, TransientError when the untuned setting does not work.
    """
    from medasr.whisper.model import choose_device, choose_precision, worthwhile_precisions
    from medasr.whisper.transcriber import lanes_of

    home.prepare(config)
    options = replace(engine_options(config), tuned_for="")
    base = locate(options.models, options.model.base)
    wishes, machine = wishes_of(config.model), this_machine()
    device = choose_device(wishes.device)
    untuned = Setting(
        precision=choose_precision(wishes.precision, device), batch_size=wishes.batch_size, threads=wishes.threads
    )
    on_cpu = device.type == "cpu"
    lanes = lanes_of(wishes.threads or machine.cores, device)
    largest = min(_largest_batch(base.path, lanes) if on_cpu else max(BATCH_SIZES), RECORDINGS // lanes)
    # Each begins with the fastest of those before. On a GPU, threads do not matter, and a batch that is too large does no harm.
    stages: tuple[_Stage, ...] = (
        partial(precisions_to_try, wishes, worthwhile=worthwhile_precisions(device)),
        partial(batches_to_try, wishes, largest=largest),
        partial(threads_to_try, wishes, cores=machine.cores if on_cpu else 1),
    )
    if not any(stage(untuned) for stage in stages):
        raise ConfigurationError(
            "there is nothing to choose; leave model.precision at auto, model.batch_size at 8 or model.threads at 0"
        )
    with decoded_speech(config, RECORDINGS) as speech:
        bench = _Bench(
            options=options,
            device=device.type,
            speech=speech,
            normalizer=text_normalizer(config.evaluation.normalizer),
            must_wait=stand_back(config),
            progress=progress,
        )
        outcomes = bench.compare(untuned, stages)
    return Tuning(
        at=datetime.now(UTC),
        base_id=base.name,
        base_sha256=base.weights_sha256,
        adapter_sha256=adapter_identity(options.model),
        machine=machine,
        wishes=wishes,
        device="cpu" if on_cpu else "cuda",
        audio_seconds=round(sum(one.seconds for one in speech), 1),
        untuned=untuned,
        setting=choose(outcomes, untuned).setting,
        outcomes=outcomes,
    )


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """What all settings share."""

    options: EngineOptions
    device: str
    speech: Sequence[Speech]
    normalizer: Callable[[str], str]
    must_wait: Callable[[], bool]
    progress: Progress

    def compare(self, untuned: Setting, stages: Sequence[_Stage]) -> tuple[Outcome, ...]:
        """One outcome a setting, the untuned one's first."""
        total = 1 + sum(len(stage(untuned)) for stage in stages)
        first = _Run(setting=untuned, ratios=[1.0])
        runs = [first]
        tell = partial(self._tell, total, runs)
        with self._as_opponent(untuned), self._running(untuned) as host:
            tell(0)
            first.warm, first.texts = self._pass(host, untuned)
            tell(self._passes)
            fastest = untuned
            for stage in stages:
                for setting in stage(fastest):
                    runs.append(_Run(setting=setting))
                    self._challenge(runs[-1], host, first, tell)
                    tell(self._passes)
                fastest = choose(self._outcomes(runs), untuned).setting
        return self._outcomes(runs)

    def _challenge(self, run: _Run, opponent: EngineHost, first: _Run, tell: Callable[[int], None]) -> None:
        """Fill the run of a setting, in turns with the untuned one, whose seconds are added to its own."""

        def own_turn() -> None:
            run.seconds.append(self._pass(host, run.setting)[0])

        def other_turn() -> None:
            with self._as_opponent(first.setting):
                first.seconds.append(self._pass(opponent, first.setting)[0])

        try:
            with self._running(run.setting) as host:
                tell(0)
                run.warm, run.texts = self._pass(host, run.setting)
                for number in range(ROUNDS):
                    tell(1 + 2 * number)
                    for turn in (own_turn, other_turn) if number % 2 else (other_turn, own_turn):
                        turn()
                    run.ratios.append(first.seconds[-1] / run.seconds[-1])
                    if run.ratios[0] * HOPELESS < 1:
                        break
        except (_Unfit, ModelError) as reason:
            run.unfit = str(reason)

    def _outcomes(self, runs: Sequence[_Run]) -> tuple[Outcome, ...]:
        wanted = replace(runs[0].setting, precision="fp32")
        exact = next((run for run in runs if run.setting == wanted and not run.unfit), runs[0])
        return tuple(self._outcome(run, exact) for run in runs)

    def _outcome(self, run: _Run, exact: _Run) -> Outcome:
        if run.unfit:
            return Outcome(
                setting=run.setting,
                seconds=None,
                ratio=None,
                word_error_rate=None,
                other_words=None,
                rejected=run.unfit,
            )
        references = {one.id: one.reference for one in self.speech}
        accuracy = Accuracy(
            word_error_rate=self._errors(references, run.texts),
            exact=self._errors(references, exact.texts),
            other_words=self._errors(exact.texts, run.texts),
        )
        return judged(run.setting, run.seconds or [run.warm], run.ratios, accuracy)

    def _errors(self, references: Mapping[str, str], texts: Mapping[str, str]) -> float:
        pairs = [(reference, texts[name]) for name, reference in references.items()]
        return word_error_rate(pairs, self.normalizer) or 0.0

    @property
    def _passes(self) -> int:
        return 1 + 2 * ROUNDS

    def _tell(self, total: int, runs: Sequence[_Run], done: int) -> None:
        what = in_words(runs[-1].setting, self.device)
        self.progress(f"{len(runs)} of {total}: {what}", done, self._passes)

    @contextmanager
    def _as_opponent(self, untuned: Setting) -> Iterator[None]:
        """Without the untuned setting there is nothing to compare with."""
        try:
            yield
        except _Unfit as reason:
            raise TransientError(
                f"{in_words(untuned, self.device)} does not work here ({reason}); free memory, or take a smaller model.base, and "
                "tune again"
            ) from None

    @contextmanager
    def _running(self, setting: Setting) -> Iterator[EngineHost]:
        host = EngineHost(replace(self.options, model=self.options.model.model_copy(update=asdict(setting))))
        try:
            while host.ready is None:
                for event in (*host.ensure_started(), *host.poll(LOOK_SECONDS)):
                    if isinstance(event, Died):
                        raise _Unfit(f"the model process ended while it loaded ({event.kind})")
            yield host
        finally:
            host.stop()

    def _pass(self, host: EngineHost, setting: Setting) -> tuple[float, dict[str, str]]:
        """All recordings once: the seconds it took, and the texts by recording."""
        while self.must_wait():
            time.sleep(LOOK_SECONDS)
        began = time.monotonic()
        texts: dict[str, str] = {}
        for event in transcribe_all(host, [(one.id, one.samples) for one in self.speech]):
            if isinstance(event, Died | Failed):
                raise _Unfit(f"the model process ended: {event.kind}")
            if isinstance(event, Completed):
                if event.fallback or event.batch_size < setting.batch_size:
                    raise _Unfit("memory does not suffice")
                texts[event.id] = event.transcript.text
        return time.monotonic() - began, texts


def _largest_batch(path: Path, lanes: int) -> int:
    """Of so many windows each so many batches fit into half of the memory that can still be had, by what Whisper's decoder keeps of each."""
    shape = json.loads((path / "config.json").read_bytes())
    width, layers = int(shape["d_model"]), int(shape["decoder_layers"])
    window = _POSITIONS * width * layers * 2 * _FP32_BYTES * _BESIDE
    return available_memory() // 2 // window // lanes
