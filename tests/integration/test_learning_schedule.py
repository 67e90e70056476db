"""Learning by the clock: each slot once, late rather than never, beside the backup, and from where it was after a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from daemon import home as homes
from daemon import schedule as clock
from daemon.config import Config
from daemon.learning.lock import one_training
from daemon.schedule import Schedule, learns
from daemon.store import learning, slots
from daemon.store.connection import Store
from daemon.store.learning import LearningState
from daemon.task import INTERRUPTED, LEARNING, TaskProcess
from tests.conftest import write_config
from tests.support.contests import write_dataset
from tests.support.processes import await_condition
from tests.support.stores import open_store

#: A Sunday; learning is due at half past four.
NIGHT = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
RETRAIN = {"retrain": "30 4 * * *"}
DUE = datetime(2026, 3, 1, 4, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time is what APScheduler finds out about the machine; here it is UTC."""
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def config(home: Path) -> Config:
    config = write_config(home, schedule=RETRAIN, evaluation={"dataset": "/datasets/speech"})
    homes.prepare(config)
    return config


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    opened = open_store(config.paths.state)
    yield opened
    opened.close()


class Learner:
    """Stands for the cycle's process: ends as the test says, and counts."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.runs = 0
        self.slots: list[datetime] = []  #: that it was told to serve
        self.stopped = True  #: one that is interrupted was ended with its daemon
        self.released = threading.Event()
        self.released.set()

    def run(self, slot: datetime) -> str:
        self.runs += 1
        self.slots.append(slot)
        self.released.wait()
        return self.outcomes.pop(0)

    def stop(self) -> None:
        self.released.set()


@pytest.fixture
def learner(monkeypatch: pytest.MonkeyPatch) -> Learner:
    learner = Learner()
    monkeypatch.setattr(clock, "TaskProcess", lambda _config, _command: learner)
    return learner


@pytest.mark.usefixtures("learner")
class TestSlots:
    @pytest.fixture
    def schedule(self, config: Config, store: Store, learner: Learner) -> Schedule:
        self.now = NIGHT
        self.store = store
        self.restart(config)
        self.now += timedelta(hours=4)
        return Schedule(config, store, lambda: self.now)

    def restart(self, config: Config) -> None:
        """What a new daemon does at once."""
        schedule = Schedule(config, self.store, lambda: self.now)
        if schedule._missed("retrain"):
            schedule._fire("retrain")

    def outcome(self) -> str | None:
        with self.store.read() as session:
            last = slots.last(session, "retrain")
            return last.outcome if last else None

    def test_each_is_used_once(self, config: Config, schedule: Schedule, learner: Learner) -> None:
        learner.outcomes = ["rejected"]
        schedule._fire("retrain")
        schedule._fire("retrain")
        self.restart(config)
        assert (learner.runs, self.outcome()) == (1, "rejected")

    def test_one_that_was_missed_is_made_up_for(self, config: Config, schedule: Schedule, learner: Learner) -> None:
        del schedule
        learner.outcomes = ["promoted"]
        self.now += timedelta(days=3)
        self.restart(config)
        self.restart(config)
        assert (learner.runs, self.outcome()) == (1, "promoted")

    def test_an_interrupted_one_goes_on_after_the_next_start(
        self, config: Config, schedule: Schedule, learner: Learner
    ) -> None:
        learner.outcomes = [INTERRUPTED, INTERRUPTED, "promoted"]
        schedule._fire("retrain")
        for _ in range(3):
            self.restart(config)
        assert (learner.runs, self.outcome()) == (3, "promoted")

    def test_one_whose_process_alone_died_is_started_again(
        self, config: Config, schedule: Schedule, learner: Learner
    ) -> None:
        del config
        learner.stopped, learner.outcomes = False, [INTERRUPTED, "promoted"]
        schedule._fire("retrain")
        assert (learner.runs, self.outcome()) == (2, "promoted")

    def test_one_whose_process_keeps_dying_ends_with_a_reason(
        self, config: Config, schedule: Schedule, learner: Learner
    ) -> None:
        del config
        learner.stopped, learner.outcomes = False, [INTERRUPTED] * 5
        schedule._fire("retrain")
        assert (learner.runs, self.outcome()) == (3, "CRASHED")

    @pytest.mark.parametrize("state", [LearningState.PROMOTED, LearningState.REJECTED, LearningState.FAILED])
    def test_one_that_had_ended_before_the_crash_is_not_repeated(
        self, config: Config, schedule: Schedule, learner: Learner, state: LearningState
    ) -> None:
        learner.outcomes = [INTERRUPTED]
        schedule._fire("retrain")
        with self.store.write() as session:
            run = learning.begin(session, "scheduled", "key", actor="daemon", now=self.now, slot=learner.slots[0])
            learning.note(session, run, state, actor="daemon", now=self.now)
        self.restart(config)
        assert (learner.runs, self.outcome()) == (1, str(state))

    def test_one_that_went_on_with_the_run_of_an_earlier_slot_is_not_repeated_either(
        self, config: Config, schedule: Schedule, learner: Learner
    ) -> None:
        learner.outcomes = [INTERRUPTED, INTERRUPTED]

        def work() -> int:
            """What the process writes down before it dies with its daemon."""
            with self.store.write() as session:
                return learning.begin(session, "scheduled", "key", actor="daemon", now=self.now, slot=learner.slots[-1])

        schedule._fire("retrain")
        run = work()
        self.now += timedelta(days=1)
        self.restart(config)
        assert learner.slots == [DUE, DUE + timedelta(days=1)]
        assert work() == run
        with self.store.write() as session:
            learning.note(session, run, LearningState.REJECTED, actor="daemon", now=self.now)
        self.restart(config)
        assert (learner.runs, self.outcome()) == (2, "rejected")

    def test_one_by_hand_takes_no_slot(self, config: Config, schedule: Schedule, learner: Learner) -> None:
        learner.outcomes = [INTERRUPTED, "rejected"]
        schedule._fire("retrain")
        with self.store.write() as session:
            run = learning.begin(session, "manual", "key", actor="ann", now=self.now)
            learning.note(session, run, LearningState.PROMOTED, actor="ann", now=self.now)
        self.restart(config)
        assert (learner.runs, self.outcome()) == (2, "rejected")


class TestWhen:
    def test_only_where_there_is_something_to_learn_from(self, home: Path, config: Config, store: Store) -> None:
        assert learns(config)
        assert "retrain" in Schedule(config, store, lambda: NIGHT)._tasks
        without = write_config(home, schedule=RETRAIN)
        assert not learns(without)
        assert "retrain" not in Schedule(without, store, lambda: NIGHT)._tasks

    def test_disable_is_never(self, home: Path, store: Store) -> None:
        config = write_config(home, schedule={"retrain": "disable"}, evaluation={"dataset": "/datasets/speech"})
        assert "retrain" not in Schedule(config, store, lambda: NIGHT)._tasks

    def test_a_night_of_learning_does_not_hold_up_the_backup(self, home: Path, store: Store, learner: Learner) -> None:
        config = write_config(
            home, schedule={**RETRAIN, "backup": "15 2 * * *"}, evaluation={"dataset": "/datasets/speech"}
        )
        now = datetime.now(UTC)
        with store.write() as session:
            for task in ("backup", "retrain"):
                slots.begin(session, task, now - timedelta(days=2), now=now)
        learner.outcomes = ["promoted"]
        learner.released.clear()
        schedule = Schedule(config, store, lambda: now)
        schedule.start()
        try:
            await_condition(lambda: learner.runs == 1)
            await_condition(lambda: len(list(config.paths.backups.glob("medasr-nightly-*.db"))) == 1)
            assert not learner.released.is_set()
        finally:
            schedule.stop()
        with store.read() as session:
            last = slots.last(session, "retrain")
            assert last is not None
            assert last.outcome == "promoted"


class TestProcess:
    def test_a_dataset_that_cannot_be_read_ends_it_with_a_stored_reason(self, config: Config) -> None:
        assert TaskProcess(config, LEARNING).run(DUE) == "failed"
        store = Store(config.paths.database, writable=False)
        with store.read() as session:
            (run,) = learning.listing(session)
        store.close()
        assert (run.trigger, run.state, run.reason) == ("scheduled", LearningState.FAILED, "DatasetError")
        assert run.slot == DUE

    def test_ended_with_the_daemon_it_is_interrupted(self, home: Path, tmp_path: Path) -> None:
        manifest = write_dataset(tmp_path / "medical")
        config = write_config(home, evaluation={"dataset": str(manifest), "split": "all"})
        homes.prepare(config)
        process = TaskProcess(config, LEARNING)
        outcomes: list[str] = []
        before = set(psutil.Process().children())
        with one_training(config.paths.trainings):  # so that it stands still
            thread = threading.Thread(target=lambda: outcomes.append(process.run(DUE)))
            thread.start()
            await_condition(lambda: bool(set(psutil.Process().children()) - before))
            process.stop()
            thread.join()
        assert outcomes == [INTERRUPTED]
        assert process.run(DUE) == INTERRUPTED
