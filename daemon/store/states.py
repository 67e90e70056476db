"""The states of a job, and how many are in each: known without SQLAlchemy, so that ``medasrd status`` answers at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from medasr.errors import StoreError

#: The Alembic revision this program expects; a test holds it against ``migrations/versions``.
SCHEMA_REVISION = "0003"


class JobState(StrEnum):
    """Where a recording's job stands; the diagram is in docs/architecture.md, the CHECK constraint below."""

    RECEIVED = "received"  # durable here, waiting → decoding
    DECODING = "decoding"  # in the decode child → transcribing
    TRANSCRIBING = "transcribing"  # in the model child → done, needs_review, no_speech
    RETRY = "retry"  # a passing trouble; waits until not_before → decoding
    DONE = "done"
    NEEDS_REVIEW = "needs_review"  # transcribed, but a person should look
    NO_SPEECH = "no_speech"  # nobody speaks; the transcript is empty
    QUARANTINED = "quarantined"  # cannot be transcribed; the reason says why → received, when a person releases it


#: States in which a worker holds the job under a lease.
IN_WORK = (JobState.DECODING, JobState.TRANSCRIBING)
#: States in which the job waits for a worker.
WAITING = (JobState.RECEIVED, JobState.RETRY)
#: States that end a job.
ENDED = (JobState.DONE, JobState.NEEDS_REVIEW, JobState.NO_SPEECH, JobState.QUARANTINED)


def read_only_uri(database: Path) -> str:
    """Given the database's path, return SQLite's address for reading it: ``?``, ``#`` and ``%`` of a folder's name are quoted."""
    return f"{database.absolute().as_uri()}?mode=ro"


def job_counts(database: Path) -> dict[JobState, int]:
    """Given the database's path, return how many jobs are in each state. Raise StoreError when it is missing or outdated."""
    if not database.is_file():
        raise StoreError(
            f"{database} does not exist; `medasrd db upgrade` makes it (the daemon does so when it starts)"
        )
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            rows = dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state"))
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
    if revision != (SCHEMA_REVISION,):
        raise StoreError(f"{database} is not at revision {SCHEMA_REVISION}; run `medasrd db upgrade`")
    return {state: rows.get(state, 0) for state in JobState}
