"""A finished evaluation's way into the database, which only one process writes: through the daemon where one runs.

The report waits on disk beside the hypotheses until it is stored; it is stored once, however often that is tried.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from daemon import control, home
from daemon.report.alarms import current_alarms
from daemon.store import evaluations, migration
from daemon.store.connection import Store
from daemon.store.measurements import served_measurements
from medasr.errors import FatalError
from medasr.evaluation import EvaluationReport

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.config import Config

logger = logging.getLogger(__name__)

#: What the control socket calls it.
VERB = "file-evaluation"
REPORT = "report.json"

_REPORT: TypeAdapter[EvaluationReport] = TypeAdapter(EvaluationReport)


def save_report(folder: Path, report: EvaluationReport) -> None:
    """Keep a finished report in its evaluation's folder, whole or not at all."""
    partial = folder / f".{REPORT}"
    descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(_REPORT.dump_json(report))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / REPORT)


def file_report(config: Config, key: str) -> int:
    """Have the saved report of an evaluation stored, and return its number. Raise what the store raises."""
    try:
        return int(control.call(config.paths.state, VERB, key))
    except ConnectionError:
        with home.locked(config.paths.state):
            migration.upgrade(config.paths.database, config.paths.backups)
            store = Store(config.paths.database, writable=True)
            try:
                return store_report(config, store, key, actor=control.user_name(os.getuid()))
            finally:
                store.close()


def store_report(config: Config, store: Store, key: str, *, actor: str) -> int:
    """Store the saved report of an evaluation and drop its folder; for the process that holds the home.

    Raise FatalError when there is no such report.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        raise FatalError("this is no evaluation's key; are command and daemon the same version?")
    folder = config.paths.evaluations / key
    try:
        report = _REPORT.validate_json((folder / REPORT).read_bytes())
    except FileNotFoundError:
        raise FatalError("this evaluation has no report to be stored; run `medasrd evaluate` again") from None
    except ValidationError:
        raise FatalError("the evaluation's report was made by another version; run `medasrd evaluate` again") from None
    with store.write() as session:
        number = evaluations.add(session, report, actor=actor)
    shutil.rmtree(folder, ignore_errors=True)
    logger.info("evaluation stored", extra={"evaluation": number, "utterances": len(report.utterances)})
    for alarm in current_alarms(served_measurements(config.paths.database), config.evaluation):
        if alarm.evaluation == number:
            logger.error(
                "the model has become worse",
                extra={"evaluation": number, "metric": alarm.metric, "value": alarm.value, "best": alarm.best},
            )
    return number


def store_leftovers(config: Config, store: Store) -> int:
    """Store the reports that a crash left between scoring and storing; return how many."""
    stored = 0
    for report in sorted(config.paths.evaluations.glob(f"*/{REPORT}")):
        try:
            store_report(config, store, report.parent.name, actor="daemon")
        except FatalError:
            logger.exception("an evaluation's report cannot be stored")
        else:
            stored += 1
    return stored
