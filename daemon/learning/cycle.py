"""The learning cycle: gather, train, measure, judge, and promote what is better; what serves stays whatever happens on the way.

Every stage leaves its result on disk or in the database, so a cycle that was killed anywhere goes on when it is run again: the
training from its checkpoint, the measurements from their last recording, the promotion as the one transaction that it is.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon import home
from daemon.crashpoint import crash_point
from daemon.evaluation.courtesy import stand_back
from daemon.gate.gate import run_gate
from daemon.learning.news import Done, News, Step, Tried
from daemon.learning.record import RunRecord, begin_record
from daemon.learning.task import SAMPLES, TrainingRequest, load_training_dataset, training_key
from daemon.learning.training import COMMAND, Company, Stopped, one_training, run_training, sweep
from daemon.registry import desk
from daemon.store.learning import LearningState
from medasr.errors import FatalError, MedasrError, TrainingError
from medasr.verdict import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.config import Config
    from daemon.store.verdicts import StoredVerdict

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a cycle ended."""

    run: int
    state: LearningState
    reason: str | None  #: code
    message: str  #: for people
    version: str | None = None
    verdict: StoredVerdict | None = None
    done: Done | None = None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Who looks on."""

    hear: Callable[[News], None] = lambda _news: None  #: of the training
    progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None  #: of everything else
    stopped: Callable[[], bool] = lambda: False


def learn(
    config: Config,
    request: TrainingRequest,
    *,
    trigger: str,
    observer: Observer | None = None,
    any_time: bool = True,
    command: Sequence[str] = COMMAND,
) -> Outcome:
    """Run one cycle to its end, and return how it ended; trouble of the training is an outcome, and is stored.

    ``any_time``: whether the window of hours is ignored. Raise AlreadyRunning when another process trains here, Stopped when the
    observer wants no more, DatasetError or ModelError when data or base cannot be read before the training begins.
    """
    observer = observer or Observer()
    home.prepare(config)
    trainings = config.paths.trainings
    with one_training(trainings):
        dataset = load_training_dataset(config, request, observer.progress)
        key = training_key(config, request, dataset)
        sweep(trainings, key)
        record = begin_record(config, trigger, key)
        cycle = _Cycle(config, request, trainings / key, record, observer, any_time=any_time, trigger=trigger)
        try:
            return cycle.run(command)
        except Stopped:
            raise
        except MedasrError as error:
            return cycle.failed(error)


def train_only(
    config: Config, request: TrainingRequest, *, observer: Observer, resume: bool, command: Sequence[str] = COMMAND
) -> tuple[str, Done]:
    """Train and put the version on the shelf as the candidate; nothing is measured against what serves, and nothing promoted.

    Without ``resume`` an interrupted training of the same request is begun anew. Return the version's name and how it went.
    """
    home.prepare(config)
    trainings = config.paths.trainings
    with one_training(trainings):
        dataset = load_training_dataset(config, request, observer.progress)
        key = training_key(config, request, dataset)
        folder = trainings / key
        sweep(trainings, key if resume else "")
        company = Company(hear=observer.hear, must_wait=_must_wait(config, any_time=True), stopped=observer.stopped)
        done = run_training(config, request, folder, company, any_time=True, command=command)
        version = desk.install(config, Path(done.folder), "trained")
        shutil.rmtree(folder / SAMPLES, ignore_errors=True)
        return version, done


class _Cycle:
    """One run, stage by stage; each is told before it begins."""

    def __init__(
        self,
        config: Config,
        request: TrainingRequest,
        folder: Path,
        record: RunRecord,
        observer: Observer,
        *,
        any_time: bool,
        trigger: str,
    ) -> None:
        self._config = config
        self._request = request
        self._folder = folder
        self._record = record
        self._observer = observer
        self._any_time = any_time
        self._trigger = trigger
        self._told: LearningState | None = None

    def run(self, command: Sequence[str]) -> Outcome:
        done = self._train(command)
        crash_point("after_training")
        version = desk.install(self._config, Path(done.folder), "trained")
        self._tell(LearningState.JUDGING, version=version)
        stored = run_gate(
            self._config, version, self._trigger, progress=self._observer.progress, must_wait=self._must_wait()
        )
        crash_point("after_gate")
        outcome = self._settle(stored, version, done)
        shutil.rmtree(self._folder / SAMPLES, ignore_errors=True)
        desk.perform(self._config, "prune", keep=self._config.learning.keep_candidates)
        return outcome

    def failed(self, error: MedasrError) -> Outcome:
        """Store why nothing came of it."""
        reason = str(error.failure) if isinstance(error, TrainingError) else type(error).__name__
        self._record.note(LearningState.FAILED, reason=reason)
        logger.error("learning failed", extra={"code": reason})
        return Outcome(run=self._record.number, state=LearningState.FAILED, reason=reason, message=str(error))

    def _train(self, command: Sequence[str]) -> Done:
        self._tell(LearningState.TRAINING)
        waiting = self._must_wait()

        def must_wait() -> bool:
            now = waiting()
            self._tell(LearningState.WAITING if now else LearningState.TRAINING)
            return now

        company = Company(hear=self._hear, must_wait=must_wait, stopped=self._observer.stopped)
        done = run_training(
            self._config, self._request, self._folder, company, any_time=self._any_time, command=command
        )
        detail = {"epoch": done.epoch, "interpolation": done.interpolation, "seconds": round(done.seconds)}
        self._tell(LearningState.TRAINING, detail=detail, again=True)
        return done

    def _settle(self, stored: StoredVerdict, version: str, done: Done) -> Outcome:
        """Promote, or refuse with the gate's reasons."""
        state, reason, message = LearningState.PROMOTED, None, ""
        if stored.verdict.decision is Decision.PROMOTE:
            self._tell(LearningState.PROMOTING, verdict=stored.id)
            crash_point("before_promotion")
            try:
                message = desk.promote(self._config, version, trigger=self._trigger)
            except FatalError as error:  # what serves is pinned, or was changed by a person meanwhile
                state, reason, message = LearningState.REJECTED, _code(error), str(error)
            crash_point("after_promotion")
        else:
            state, message = LearningState.REJECTED, " ".join(stored.verdict.reasons)
            reason = ",".join(dict.fromkeys(str(check.name) for check in stored.verdict.failed))
        self._record.note(state, reason=reason, verdict=stored.id)
        logger.info("learning ended", extra={"code": str(state), "version": version})
        return Outcome(
            run=self._record.number,
            state=state,
            reason=reason,
            message=message,
            version=version,
            verdict=stored,
            done=done,
        )

    def _must_wait(self) -> Callable[[], bool]:
        return _must_wait(self._config, any_time=self._any_time)

    def _hear(self, news: News) -> None:
        self._observer.hear(news)
        if isinstance(news, Tried):
            figures = {"epoch": news.epoch, "interpolation": news.interpolation, **news.figures}
            self._tell(LearningState.TRAINING, detail={"trial": figures}, again=True)
        elif isinstance(news, Step) and news.step % 50 == 1:
            steps = {"step": news.step, "steps": news.steps, "seconds_left": round(news.seconds_left)}
            self._tell(LearningState.TRAINING, detail=steps, again=True)

    def _tell(self, state: LearningState, *, again: bool = False, **facts: Any) -> None:
        """Note a state that is new, or news within the same."""
        if state != self._told or again or facts:
            self._record.note(state, **facts)
            self._told = state


def _code(error: FatalError) -> str:
    """PINNED where a version is pinned, also when the daemon refused; REFUSED for all else."""
    return "PINNED" if "pinned" in str(error) else "REFUSED"


def _must_wait(config: Config, *, any_time: bool) -> Callable[[], bool]:
    waiting = stand_back(config)

    def must_wait() -> bool:
        closed = not any_time and not config.learning.is_open(datetime.now().astimezone().time())
        return closed or (config.learning.recordings_first and waiting())

    return must_wait
