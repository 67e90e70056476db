"""The learning cycle: gather, train, measure, judge, and promote what is better; what serves stays whatever happens on the way.

Every stage leaves its result on disk or in the database, so a cycle that was killed anywhere goes on when it is run again: the
training from its checkpoint, the measurements from their last recording, the promotion as the one transaction that it is.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon import home
from daemon.crashpoint import crash_point
from daemon.gate.contest import require_test_set
from daemon.gate.gate import run_gate
from daemon.learning.courtesy import make_room
from daemon.learning.loading import require_loadable
from daemon.learning.lock import TrainingLock, one_training
from daemon.learning.news import Done, News, Step, Tried
from daemon.learning.record import RunRecord, begin_record
from daemon.learning.task import SAMPLES, TrainingRequest, load_training_dataset, training_key
from daemon.learning.training import COMMAND, Company, Stopped, run_training, sweep
from daemon.learning.trouble import system_trouble
from daemon.registry import desk
from daemon.registry.naming import SERVING
from daemon.registry.serving import find_version, read_aliases
from daemon.store import verdicts
from daemon.store.connection import Store
from daemon.store.learning import LearningState
from medasr.errors import AlreadyRunning, FatalError, MedasrError, StoreError, TrainingError
from medasr.packs import canonical_name
from medasr.verdict import Decision

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from daemon.config import Config
    from daemon.store.learning import LearningRun
    from daemon.store.verdicts import StoredVerdict

logger = logging.getLogger(__name__)

#: States of a run that has a version; it may have had to wait with judging it.
_JUDGED = (LearningState.JUDGING, LearningState.WAITING, LearningState.PROMOTING)
#: The key of a run whose data or base could not be read: there is no training to go on with.
UNREADABLE = ""


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
    slot: datetime | None = None,
    observer: Observer | None = None,
    any_time: bool = True,
    command: Sequence[str] = COMMAND,
) -> Outcome:
    """Run one cycle to its end, and return how it ended; trouble of the training is an outcome, and is stored.

    ``slot``: when the schedule said to, for a scheduled run. ``any_time``: whether the window of hours is ignored. A scheduled run
    waits for another process that trains here, since its slot comes once; one by hand raises AlreadyRunning. Raise Stopped when the
    observer wants no more, ConfigurationError when the gate would have nothing to measure on.
    """
    require_test_set(config)
    observer = observer or Observer()
    home.prepare(config)
    trainings = config.paths.trainings
    with one_training(trainings, wait=trigger == "scheduled") as lock:
        try:
            key = training_key(config, request, load_training_dataset(config, request, observer.progress))
        except MedasrError as error:
            return _failed(begin_record(config, trigger, UNREADABLE, slot), error)
        sweep(trainings, key)
        record = begin_record(config, trigger, key, slot)
        lock.work_on(record.number)
        cycle = _Cycle(config, request, trainings / key, record, observer, lock, any_time=any_time, trigger=trigger)
        try:
            return cycle.run(command)
        except Stopped:
            raise
        except MedasrError as error:
            return _failed(record, error)
        except OSError as error:
            return _failed(record, system_trouble(error))
        finally:
            shutil.rmtree(trainings / key / SAMPLES, ignore_errors=True)


def train_only(
    config: Config, request: TrainingRequest, *, observer: Observer, resume: bool, command: Sequence[str] = COMMAND
) -> tuple[str, Done]:
    """Train and put the version on the shelf as the candidate; nothing is measured against what serves, and nothing promoted.

    Without ``resume`` an interrupted training of the same request is begun anew. Return the version's name and how it went.
    """
    home.prepare(config)
    trainings = config.paths.trainings
    with one_training(trainings) as lock:
        dataset = load_training_dataset(config, request, observer.progress)
        key = training_key(config, request, dataset)
        folder = trainings / key
        sweep(trainings, key if resume else "")
        company = Company(hear=observer.hear, must_wait=make_room(config, any_time=True), stopped=observer.stopped)
        try:
            done = run_training(config, request, folder, company, lock=lock, any_time=True, command=command)
            return desk.install(config, Path(done.folder), "trained"), done
        finally:
            shutil.rmtree(folder / SAMPLES, ignore_errors=True)


def _failed(record: RunRecord, error: MedasrError) -> Outcome:
    """Store why nothing came of a run."""
    reason = str(error.failure) if isinstance(error, TrainingError) else type(error).__name__
    record.note(LearningState.FAILED, reason=reason)
    logger.error("learning failed", extra={"code": reason})
    return Outcome(run=record.number, state=LearningState.FAILED, reason=reason, message=str(error))


class _Cycle:
    """One run, stage by stage; each is told before it begins."""

    def __init__(
        self,
        config: Config,
        request: TrainingRequest,
        folder: Path,
        record: RunRecord,
        observer: Observer,
        lock: TrainingLock,
        *,
        any_time: bool,
        trigger: str,
    ) -> None:
        self._config = config
        self._request = request
        self._folder = folder
        self._record = record
        self._observer = observer
        self._lock = lock
        self._any_time = any_time
        self._trigger = trigger
        self._told: LearningState | None = None

    def run(self, command: Sequence[str]) -> Outcome:
        left = self._record.read()
        if left.state is LearningState.PROMOTING and self._serves(left.version):
            outcome = self._promoted_before(left)
        else:
            outcome = self._judge(*self._trained_before(left) or self._train(command))
        self._tidy()
        return outcome

    def _serves(self, version: str | None) -> bool:
        serving = read_aliases(self._config.paths.database, canonical_name(self._config.model.base)).get(SERVING)
        return serving is not None and serving.name == version

    def _promoted_before(self, left: LearningRun) -> Outcome:
        """End a run whose process died between the promotion and its record."""
        with closing(Store(self._config.paths.database, writable=False)) as store, store.read() as session:
            stored = verdicts.find(session, str(left.verdict))
        return self._end(LearningState.PROMOTED, stored, f"{left.version} serves")

    def _trained_before(self, left: LearningRun) -> tuple[str, None] | None:
        """The version of a run whose process died after it lay on the shelf."""
        if left.state not in _JUDGED or left.version is None:
            return None
        found = find_version(self._config.paths.database, left.version)
        return (left.version, None) if found and not found.removed else None

    def _train(self, command: Sequence[str]) -> tuple[str, Done]:
        """Train, and put the version on the shelf."""
        self._tell(LearningState.TRAINING)
        must_wait = self._must_wait(LearningState.TRAINING)
        company = Company(hear=self._hear, must_wait=must_wait, stopped=self._observer.stopped)
        done = run_training(
            self._config,
            self._request,
            self._folder,
            company,
            lock=self._lock,
            any_time=self._any_time,
            command=command,
        )
        detail = {"epoch": done.epoch, "interpolation": done.interpolation, "seconds": round(done.seconds)}
        self._tell(LearningState.TRAINING, detail=detail, again=True)
        crash_point("after_training")
        return desk.install(self._config, Path(done.folder), "trained"), done

    def _judge(self, version: str, done: Done | None) -> Outcome:
        """Hold the version against what serves; promote it, or refuse it with the gate's reasons."""
        self._tell(LearningState.JUDGING, version=version)
        require_loadable(self._config, version)
        stored = run_gate(
            self._config,
            version,
            self._trigger,
            progress=self._observer.progress,
            must_wait=self._must_wait(LearningState.JUDGING),
        )
        crash_point("after_gate")
        if stored.verdict.decision is not Decision.PROMOTE:
            reason = ",".join(dict.fromkeys(str(check.name) for check in stored.verdict.failed))
            return self._end(LearningState.REJECTED, stored, " ".join(stored.verdict.reasons), reason=reason, done=done)
        self._tell(LearningState.PROMOTING, verdict=stored.id)
        crash_point("before_promotion")
        require_loadable(self._config, version)  # judging takes hours; a person may have tried it meanwhile
        try:
            message = desk.promote(self._config, version, trigger=self._trigger)
        except (StoreError, AlreadyRunning):  # no word about the version; the next run promotes it
            raise
        except FatalError as error:  # what serves is pinned, or was changed by a person meanwhile
            return self._end(LearningState.REJECTED, stored, str(error), reason=_code(error), done=done)
        crash_point("after_promotion")
        return self._end(LearningState.PROMOTED, stored, message, done=done)

    def _end(
        self,
        state: LearningState,
        stored: StoredVerdict,
        message: str,
        *,
        reason: str | None = None,
        done: Done | None = None,
    ) -> Outcome:
        self._record.note(state, reason=reason, verdict=stored.id)
        logger.info("learning ended", extra={"code": str(state), "version": stored.candidate})
        return Outcome(
            run=self._record.number,
            state=state,
            reason=reason,
            message=message,
            version=stored.candidate,
            verdict=stored,
            done=done,
        )

    def _tidy(self) -> None:
        """Drop what is not needed any more; how the run ended is stored, whatever comes of this."""
        try:
            desk.perform(self._config, "prune", keep=self._config.learning.keep_candidates)
        except MedasrError:
            logger.exception("old versions could not be removed")

    def _must_wait(self, state: LearningState) -> Callable[[], bool]:
        """Whether to make room now; that it waits, and that it goes on with what the state says, is told."""
        waiting = make_room(self._config, any_time=self._any_time)

        def must_wait() -> bool:
            now = waiting()
            self._tell(LearningState.WAITING if now else state)
            return now

        return must_wait

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
