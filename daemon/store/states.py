"""The states of a job, and how many are in each: known without SQLAlchemy, so that ``medasrd status`` answers at once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import IntEnum, StrEnum
from pathlib import Path

from medasr.errors import StoreError
from medasr.quality import ConcernCode

#: The Alembic revision this program expects; a test holds it against ``migrations/versions``.
SCHEMA_REVISION = "0005"


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


class Priority(IntEnum):
    """Which of the waiting jobs comes first: the lower number, then the earlier arrival."""

    URGENT = 0  # from the urgent folder of the inbox
    ORDINARY = 1


#: States in which a worker holds the job under a lease.
IN_WORK = (JobState.DECODING, JobState.TRANSCRIBING)
#: States in which the job waits for a worker.
WAITING = (JobState.RECEIVED, JobState.RETRY)
#: States that end a job.
ENDED = (JobState.DONE, JobState.NEEDS_REVIEW, JobState.NO_SPEECH, JobState.QUARANTINED)


#: By state the jobs whose newest transcript has a concern of this code before all others, as :mod:`medasr.doubts` puts it.
_DOUBTFUL = """
SELECT jobs.state, count(*) FROM jobs JOIN transcripts ON transcripts.id = (
    SELECT max(newest.id) FROM transcripts AS newest WHERE newest.recording_id = jobs.recording_id
)
WHERE jobs.state = 'needs_review' AND json_extract(transcripts.concerns, '$[0].code') = ?
GROUP BY jobs.state
"""


def read_only_uri(database: Path) -> str:
    """Given the database's path, return SQLite's address for reading it: ``?``, ``#`` and ``%`` of a folder's name are quoted."""
    return f"{database.absolute().as_uri()}?mode=ro"


def job_counts(database: Path) -> dict[JobState, int]:
    """Given the database's path, return how many jobs are in each state. Raise StoreError when it is missing or outdated."""
    rows = _counted(database, "SELECT state, count(*) FROM jobs GROUP BY state")
    return {state: rows.get(state, 0) for state in JobState}


def urgent_jobs(database: Path) -> int:
    """Given the database's path, return how many urgent jobs wait or are in work. Raise StoreError as :func:`job_counts` does."""
    rows = _counted(database, "SELECT state, count(*) FROM jobs WHERE priority = ? GROUP BY state", Priority.URGENT)
    return sum(rows.get(state, 0) for state in (*WAITING, *IN_WORK))


def doubtful_jobs(database: Path) -> int:
    """Given the database's path, return in how many recordings to review a drug or a dose was a guess. Raise StoreError as :func:`job_counts`."""
    return _counted(database, _DOUBTFUL, ConcernCode.DOUBTFUL_TERM).get(JobState.NEEDS_REVIEW, 0)


def _counted(database: Path, query: str, *values: int | str) -> dict[str, int]:
    if not database.is_file():
        raise StoreError(
            f"{database} does not exist; `medasrd db upgrade` makes it (the daemon does so when it starts)"
        )
    try:
        with closing(sqlite3.connect(read_only_uri(database), uri=True, timeout=5.0)) as connection:
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if revision != (SCHEMA_REVISION,):
                raise StoreError(f"{database} is not at revision {SCHEMA_REVISION}; run `medasrd db upgrade`")
            return dict(connection.execute(query, values))
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} cannot be read ({error}); `medasrd db check` says more") from error
