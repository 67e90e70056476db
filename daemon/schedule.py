"""The clock: what is done by itself at night. A slot runs once whatever restarts, and late rather than never.

APScheduler 3 keeps its jobs in memory only (its SQLAlchemy job store unpickles rows), and is told not to skip a slot because the
daemon was busy when it was due (``misfire_grace_time`` is one second by default). That a slot ran is a row of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from daemon.crontab import DISABLED, parse_crontab
from daemon.store import evaluations, learning, migration, slots
from daemon.store.connection import Store, damage
from daemon.task import EVALUATION, INTERRUPTED, LEARNING, STORED, TaskProcess
from medasr.errors import MedasrError

if TYPE_CHECKING:
    from daemon.config import Config

logger = logging.getLogger(__name__)

#: How often a learning process that died by itself is started in all, and what the slot says when that was in vain.
RESTARTS = 3
CRASHED = "CRASHED"

#: How far back a slot that was missed is looked for.
LOOK_BACK = timedelta(days=32)


class Schedule:
    """Runs the configured tasks one at a time in a thread of its own; learning, which takes hours, in another."""

    def __init__(self, config: Config, store: Store, now: Callable[[], datetime]) -> None:
        self._config = config
        self._store = store
        self._now = now
        self._scheduler = BackgroundScheduler(
            # What takes hours must not hold up the nightly backup.
            executors={name: ThreadPoolExecutor(1) for name in ("default", "retrain")},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._evaluation = TaskProcess(config, EVALUATION)
        self._learning = TaskProcess(config, LEARNING)
        self._tasks: dict[str, tuple[CronTrigger, Callable[[datetime], str]]] = {}
        for name, expression, task in (
            ("backup", config.schedule.backup, self._backup),
            ("check", config.schedule.check, self._check),
            ("evaluate", config.schedule.evaluate if config.evaluation.dataset else DISABLED, self._evaluate),
            ("retrain", config.schedule.retrain if learns(config) else DISABLED, self._retrain),
        ):
            if expression != DISABLED:
                self._tasks[name] = (trigger(expression), task)

    def start(self) -> None:
        """Begin; a slot that was missed while no daemon ran, or interrupted by its end, is made up for at once."""
        for name, (when, _) in self._tasks.items():
            executor = "retrain" if name == "retrain" else "default"
            self._scheduler.add_job(self._fire, when, args=[name], id=name, executor=executor)
            if self._missed(name):
                self._scheduler.add_job(self._fire, args=[name], executor=executor)
        self._scheduler.start()

    def stop(self) -> None:
        """End; a task in flight is waited for, but evaluating and learning go on after the next start."""
        self._evaluation.stop()
        self._learning.stop()
        self._scheduler.shutdown(wait=True)

    def _fire(self, name: str) -> None:
        """Run a task for its latest slot, unless that slot was run already."""
        when, task = self._tasks[name]
        slot = latest_slot(when, self._now())
        if slot is None:
            return
        with self._store.write() as session:
            if not slots.begin(session, name, slot, now=self._now()):
                return
        try:
            outcome = task(slot)
        except MedasrError as error:
            outcome = type(error).__name__
        if outcome == INTERRUPTED:
            return
        with self._store.write() as session:
            slots.end(session, name, slot, outcome=outcome, now=self._now())
        logger.info("scheduled task ended", extra={"task": name, "code": outcome})

    def _missed(self, name: str) -> bool:
        """Whether the latest slot passed without a daemon. On a new home nothing was missed; its slots count from now on."""
        slot = latest_slot(self._tasks[name][0], self._now())
        if slot is None:
            return False
        with self._store.write() as session:
            last = slots.last(session, name)
            if last is None:
                slots.begin(session, name, slot, now=self._now())
                slots.end(session, name, slot, outcome="NEW", now=self._now())
        return last is not None and (last.slot < slot or last.ended_at is None)

    def _evaluate(self, slot: datetime) -> str:
        """Measure the serving model in a process of its own; what a crash left unnoted, though it was stored, is not done again."""
        with self._store.read() as session:
            run = slots.last(session, "evaluate")
            if run is not None and evaluations.scheduled_since(session, run.started_at):
                return STORED
        return self._evaluation.run(slot)

    def _retrain(self, slot: datetime) -> str:
        """Learn in a process of its own; what a crash left unnoted, though the run had ended, is not done again."""
        with self._store.read() as session:
            if ended := learning.ended_for(session, slot):
                return str(ended)
        for _ in range(RESTARTS):
            outcome = self._learning.run(slot)
            if outcome != INTERRUPTED or self._learning.stopped:
                return outcome
            logger.warning("a scheduled task's process died; it is started again", extra={"task": "retrain"})
        return CRASHED

    def _backup(self, _slot: datetime) -> str:
        backups = self._config.paths.backups
        migration.sweep(backups, self._now())
        migration.backup(self._config.paths.database, backups, "nightly")
        for old in sorted(backups.glob("medasr-nightly-*.db"))[: -self._config.schedule.keep_backups]:
            old.unlink()
        return "OK"

    def _check(self, _slot: datetime) -> str:
        problems = damage(self._config.paths.database, thorough=True)
        if problems:
            logger.error("the database is damaged", extra={"count": len(problems)})
        return "DAMAGED" if problems else "OK"


def learns(config: Config) -> bool:
    """Whether there is anything to learn from by schedule."""
    return bool(config.evaluation.dataset)


def trigger(expression: str) -> CronTrigger:
    """Given a crontab(5) string that the configuration has found valid, return the trigger in local time."""
    when = parse_crontab(expression)
    fields = {
        "minute": when.minutes,
        "hour": when.hours,
        "day": when.days,
        "month": when.months,
        "day_of_week": when.weekdays,
    }
    return CronTrigger(**{name: ",".join(map(str, values)) for name, values in fields.items()})


def latest_slot(when: CronTrigger, now: datetime) -> datetime | None:
    """The last moment up to now at which the trigger was due; None if there was none for a month."""
    slot, following = None, when.get_next_fire_time(None, now - LOOK_BACK)
    while following is not None and following <= now:
        slot, following = following, when.get_next_fire_time(following, following + timedelta(seconds=1))
    return slot
