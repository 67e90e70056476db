"""The clock: every slot is used once, late rather than never, and never twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from daemon import schedule as clock
from daemon.config import Config
from daemon.schedule import Schedule, latest_slot, trigger
from daemon.store import evaluations, migration, slots
from daemon.store.connection import Store
from medasr.errors import TransientError
from tests.conftest import write_config
from tests.support.evaluations import make_report
from tests.support.processes import await_condition
from tests.support.stores import open_store

#: A Sunday, shortly before the nightly backup of the tests.
EVENING = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time is what APScheduler finds out about the machine; here it is UTC."""
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def config(home: Path) -> Config:
    return write_config(home, schedule={"backup": "15 2 * * *", "check": "45 3 * * 0", "keep_backups": 2})


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    config.paths.state.mkdir(mode=0o700)
    opened = open_store(config.paths.state)
    yield opened
    opened.close()


class Night:
    """A schedule with a clock that a test sets; tasks are fired by hand, at once and in this thread."""

    def __init__(self, config: Config, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self.store, self._monkeypatch = config, store, monkeypatch
        self.now = EVENING
        self.added: list[str] = []
        self.schedule = self.restart()

    def restart(self) -> Schedule:
        """A new daemon: what it does at once on its start is done when this returns."""
        schedule = Schedule(self.config, self.store, lambda: self.now)
        self.added = []

        def add_job(run: object, when: object = None, *, args: list[str], **_: object) -> None:
            if when is None:
                self.added.append(args[0])

        self._monkeypatch.setattr(schedule._scheduler, "add_job", add_job)
        self._monkeypatch.setattr(schedule._scheduler, "start", lambda: None)
        schedule.start()
        for name in self.added:
            schedule._fire(name)
        self.schedule = schedule
        return schedule

    def backups(self) -> int:
        return len(list(self.config.paths.backups.glob("medasr-nightly-*.db")))


@pytest.fixture
def night(config: Config, store: Store, monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(config, store, monkeypatch)


class TestLatestSlot:
    @pytest.mark.parametrize(
        ("now", "slot"),
        [
            (datetime(2026, 3, 1, 2, 14, 59, tzinfo=UTC), datetime(2026, 2, 28, 2, 15, tzinfo=UTC)),
            (datetime(2026, 3, 1, 2, 15, tzinfo=UTC), datetime(2026, 3, 1, 2, 15, tzinfo=UTC)),
            (datetime(2026, 3, 1, 23, 0, tzinfo=UTC), datetime(2026, 3, 1, 2, 15, tzinfo=UTC)),
        ],
    )
    def test_it_is_the_last_moment_up_to_now_at_which_the_task_was_due(self, now: datetime, slot: datetime) -> None:
        assert latest_slot(trigger("15 2 * * *"), now) == slot

    def test_weekday_0_is_sunday_as_in_crontab(self) -> None:
        slot = latest_slot(trigger("45 3 * * 0"), datetime(2026, 3, 5, tzinfo=UTC))
        assert slot == datetime(2026, 3, 1, 3, 45, tzinfo=UTC)
        assert slot.strftime("%A") == "Sunday"

    def test_what_is_due_rarely_has_none_for_a_month(self) -> None:
        assert latest_slot(trigger("0 0 1 1 *"), EVENING) is None


class TestSlots:
    def test_a_slot_runs_once_however_often_it_fires(self, night: Night) -> None:
        night.now += timedelta(hours=2)
        night.schedule._fire("backup")
        night.schedule._fire("backup")
        assert night.backups() == 1

    def test_a_slot_runs_once_whatever_restarts(self, night: Night) -> None:
        night.now += timedelta(hours=2)
        night.schedule._fire("backup")
        night.restart()
        night.restart()
        assert night.backups() == 1

    def test_the_next_night_is_another_slot(self, night: Night) -> None:
        night.now += timedelta(hours=2)
        night.schedule._fire("backup")
        night.now += timedelta(days=1)
        night.schedule._fire("backup")
        assert night.backups() == 2

    def test_on_a_new_home_nothing_was_missed(self, night: Night) -> None:
        assert night.added == []
        assert night.backups() == 0

    def test_a_slot_missed_while_no_daemon_ran_is_made_up_for_at_the_start(self, night: Night) -> None:
        night.now += timedelta(days=3)
        night.restart()
        assert sorted(night.added) == ["backup", "check"]
        assert night.backups() == 1

    def test_a_machine_that_is_off_at_night_gets_its_first_backup_in_the_morning(self, night: Night) -> None:
        night.now = EVENING + timedelta(hours=7)
        night.restart()
        assert night.backups() == 1

    def test_how_it_went_is_noted(self, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_room(*_: object) -> None:
            raise TransientError("no room")

        monkeypatch.setattr(migration, "backup", no_room)
        night.now += timedelta(hours=2)
        night.schedule._fire("backup")
        slot = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
        with night.store.read() as session:
            run = session.get_one(clock.slots.ScheduleRun, ("backup", slot))
        assert (run.outcome, run.ended_at) == ("TransientError", night.now)


class TestTasks:
    def test_so_many_nightly_backups_are_kept_and_no_other_file_is_touched(self, night: Night) -> None:
        migration.backup(night.config.paths.database, night.config.paths.backups, "by-hand")
        for _ in range(4):
            night.now += timedelta(days=1)
            night.schedule._fire("backup")
        assert night.backups() == 2
        assert len(list(night.config.paths.backups.iterdir())) == 3

    def test_what_a_killed_backup_left_behind_goes_the_next_day(self, night: Night) -> None:
        night.now += timedelta(days=1)
        night.config.paths.backups.mkdir(exist_ok=True)
        half, growing = (night.config.paths.backups / f"medasr-{name}.partial" for name in ("half", "growing"))
        for path, age in ((half, timedelta(days=2)), (growing, timedelta(hours=1))):
            path.write_bytes(b"half a copy")
            os.utime(path, times=((night.now - age).timestamp(),) * 2)
        night.schedule._fire("backup")
        assert not half.exists()
        assert growing.exists()

    def test_damage_shows_in_the_log_and_in_the_outcome(
        self, night: Night, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(clock, "damage", lambda path, *, thorough: ["row 1 missing from index"])
        night.now += timedelta(hours=3)
        night.schedule._fire("check")
        with night.store.read() as session:
            last = slots.last(session, "check")
            assert last is not None
            assert last.outcome == "DAMAGED"
        assert "the database is damaged" in caplog.text
        assert "row 1" not in caplog.text

    def test_disable_is_never(self, home: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        config = write_config(home, schedule={"backup": "disable", "check": "disable"})
        night = Night(config, store, monkeypatch)
        night.now += timedelta(days=3)
        night.restart()
        assert night.added == []


def test_the_real_scheduler_makes_up_for_a_missed_slot_and_stops(config: Config, store: Store) -> None:
    now = datetime.now(UTC)
    with store.write() as session:
        slots.begin(session, "backup", now - timedelta(days=2), now=now)
    schedule = Schedule(config, store, lambda: now)
    schedule.start()
    await_condition(lambda: len(list(config.paths.backups.glob("medasr-nightly-*.db"))) == 1)
    schedule.stop()


class Measuring:
    """Stands for the evaluation's process: does what the test says next, and counts."""

    def __init__(self, outcomes: list[str]) -> None:
        self.outcomes = outcomes
        self.runs = 0

    def run(self, _slot: datetime) -> str:
        self.runs += 1
        return self.outcomes.pop(0)

    def stop(self) -> None:
        pass


class TestEvaluations:
    @pytest.fixture
    def measuring(self, monkeypatch: pytest.MonkeyPatch) -> Measuring:
        measuring = Measuring([])
        monkeypatch.setattr(clock, "TaskProcess", lambda config, command: measuring)
        return measuring

    @pytest.fixture
    def night(self, home: Path, store: Store, measuring: Measuring, monkeypatch: pytest.MonkeyPatch) -> Night:
        config = write_config(home, schedule={"evaluate": "30 4 * * *"}, evaluation={"dataset": "/datasets/speech"})
        return Night(config, store, monkeypatch)

    def test_a_slot_is_measured_once(self, night: Night, measuring: Measuring) -> None:
        measuring.outcomes = ["OK"]
        night.now += timedelta(hours=4)
        night.schedule._fire("evaluate")
        night.schedule._fire("evaluate")
        night.restart()
        assert measuring.runs == 1

    def test_an_interrupted_one_goes_on_after_the_next_start(self, night: Night, measuring: Measuring) -> None:
        measuring.outcomes = ["INTERRUPTED", "INTERRUPTED", "OK"]
        night.now += timedelta(hours=4)
        night.schedule._fire("evaluate")
        for _ in range(3):
            night.restart()
        assert measuring.runs == 3

    def test_one_that_was_stored_before_the_crash_is_not_measured_again(
        self, night: Night, measuring: Measuring
    ) -> None:
        measuring.outcomes = ["INTERRUPTED"]
        night.now += timedelta(hours=4)
        night.schedule._fire("evaluate")
        with night.store.write() as session:
            evaluations.add(session, make_report(trigger="scheduled", started_at=night.now))
        night.restart()
        assert measuring.runs == 1
        with night.store.read() as session:
            run = slots.last(session, "evaluate")
            assert run is not None
            assert run.outcome == "OK"

    def test_a_late_slot_is_made_up_for(self, night: Night, measuring: Measuring) -> None:
        measuring.outcomes = ["OK"]
        night.now += timedelta(days=5)
        night.restart()
        assert measuring.runs == 1

    def test_without_a_dataset_there_is_nothing_to_measure(self, home: Path, store: Store) -> None:
        schedule = Schedule(write_config(home, schedule={"evaluate": "30 4 * * *"}), store, lambda: EVENING)
        assert "evaluate" not in schedule._tasks
