"""What the evaluations of the serving model found, read without SQLAlchemy, so that ``medasrd status`` answers at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.store.states import read_only_uri
from medasr.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The figures of an evaluation that an alarm may be about, in percent; None where nothing could be counted."""

    evaluation: int
    at: datetime
    recipe_sha256: str  #: measurements are comparable only where it is equal
    scheduled: bool
    normalized_wer: float | None
    mta: float | None
    term_precision: float | None


_QUERY = """
    SELECT id, ended_at, recipe_sha256, "trigger" = 'scheduled',
        json_extract(scores, '$.normalized_wer.value'), json_extract(scores, '$.mta.value'),
        json_extract(scores, '$.term_precision.value')
    FROM evaluations WHERE model_label = 'serving' ORDER BY ended_at, id
"""


#: Outcomes of the scheduled evaluation after which nobody has to look.
_FINE = ("OK", "NEW")


def failed_schedule(database: Path) -> str | None:
    """Given the path of a database of this revision, return how the last scheduled evaluation failed; None if it did not."""
    query = (
        "SELECT outcome FROM schedule_runs WHERE task = 'evaluate' AND outcome IS NOT NULL ORDER BY slot DESC LIMIT 1"
    )
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            row = connection.execute(query).fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
    return row[0] if row and row[0] not in _FINE else None


def served_measurements(database: Path) -> list[Measurement]:
    """Given the path of a database of this revision, return what was measured of the serving model, oldest first.

    Raise StoreError when it cannot be read.
    """
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            rows = connection.execute(_QUERY).fetchall()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
    return [
        Measurement(
            evaluation=number,
            at=datetime.fromisoformat(at),
            recipe_sha256=recipe,
            scheduled=bool(scheduled),
            normalized_wer=normalized_wer,
            mta=mta,
            term_precision=term_precision,
        )
        for number, at, recipe, scheduled, normalized_wer, mta, term_precision in rows
    ]


@dataclass(frozen=True, kw_only=True)
class LastLearning:
    """The newest run of the learning cycle, as far as `medasrd status` shows it."""

    run: int
    state: str
    ended: bool
    reason: str | None
    started_at: datetime
    step: int | None
    steps: int | None


def last_learning(database: Path) -> LastLearning | None:
    """Given the path of a database of this revision, return the newest learning run; None when there was none."""
    query = (
        "SELECT id, state, ended_at IS NOT NULL, reason, started_at, json_extract(detail, '$.step'), json_extract(detail, '$.steps') "
        "FROM learning_runs ORDER BY id DESC LIMIT 1"
    )
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            row = connection.execute(query).fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
    if row is None:
        return None
    run, state, ended, reason, started_at, step, steps = row
    return LastLearning(
        run=run,
        state=state,
        ended=bool(ended),
        reason=reason,
        started_at=datetime.fromisoformat(started_at),
        step=step,
        steps=steps,
    )
