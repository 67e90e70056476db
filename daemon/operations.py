"""What a person may do to the queue, the same whether the daemon does it for them or no daemon runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from daemon import outbox
from daemon.store import jobs, recordings
from daemon.store.connection import Store
from daemon.store.schema import IN_WORK, Job, JobState
from medasr.errors import FatalError, Reason

#: A number with at most so many digits is a job, anything longer the beginning of a recording's id.
_JOB_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Operations:
    """The acts themselves; each returns what it did, in words that name no patient."""

    store: Store
    quarantine: outbox.Folder
    now: Callable[[], datetime]
    on_cancel: Callable[[int], None]  #: told of a job that was cancelled while in work

    def retry(self, identifier: str, *, actor: str) -> str:
        """Try a quarantined or waiting recording again, now. Raise FatalError when it is neither."""
        with self.store.write() as session:
            job = find_job(session, identifier)
            if job.state == JobState.QUARANTINED:
                outbox.withdraw_quarantined(self.quarantine, job)
            jobs.retry(session, job.id, actor=actor, now=self.now())
            return f"job {job.id} (recording {job.recording_id[:8]}) waits for its next attempt"

    def release(self, identifier: str, *, actor: str) -> str:
        """Put a quarantined recording back into the queue. Raise FatalError when it is not quarantined."""
        with self.store.read() as session:
            job = find_job(session, identifier)
            if job.state != JobState.QUARANTINED:
                raise FatalError(
                    f"job {job.id} is {job.state}, not quarantined; `medasrd quarantine list` shows those that are"
                )
        return self.retry(identifier, actor=actor)

    def cancel(self, identifier: str, *, actor: str) -> str:
        """Take a recording out of the queue; it goes to the quarantine as CANCELLED. Raise FatalError when it has ended."""
        with self.store.write() as session:
            job = find_job(session, identifier)
            in_work = job.state in IN_WORK
            jobs.quarantine(session, job.id, Reason.CANCELLED, now=self.now(), actor=actor)
            job_id, recording_id = job.id, job.recording_id
        if in_work:
            self.on_cancel(job_id)
        return f"job {job_id} (recording {recording_id[:8]}) is cancelled; `medasrd quarantine release {recording_id[:8]}` undoes it"


def find_job(session: Session, identifier: str) -> Job:
    """Given a job's number or the beginning of a recording's id, return the job. Raise FatalError when there is none."""
    if identifier.isdigit() and len(identifier) <= _JOB_DIGITS:
        job = session.get(Job, int(identifier))
        if job is None:
            raise FatalError(f"there is no job {identifier}; `medasrd jobs list` shows them")
        return job
    return jobs.of_recording(session, recordings.find(session, identifier).id)
