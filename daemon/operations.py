"""What a person may do to the queue, the same whether the daemon does it for them or no daemon runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from daemon import outbox
from daemon.store import jobs
from daemon.store.connection import Store
from daemon.store.states import IN_WORK, JobState
from medasr.errors import FatalError, Reason


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
            job = jobs.find(session, identifier)
            if job.state == JobState.QUARANTINED:
                outbox.withdraw_quarantined(self.quarantine, job)
            jobs.retry(session, job.id, actor=actor, now=self.now())
            return f"job {job.id} (recording {job.recording_id[:8]}) waits for its next attempt"

    def release(self, identifier: str, *, actor: str) -> str:
        """Put a quarantined recording back into the queue. Raise FatalError when it is not quarantined."""
        with self.store.read() as session:
            job = jobs.find(session, identifier)
            if job.state != JobState.QUARANTINED:
                raise FatalError(
                    f"job {job.id} is {job.state}, not quarantined; `medasrd quarantine list` shows those that are"
                )
        return self.retry(identifier, actor=actor)

    def cancel(self, identifier: str, *, actor: str) -> str:
        """Take a recording out of the queue; it goes to the quarantine as CANCELLED. Raise FatalError when it has ended."""
        with self.store.write() as session:
            job = jobs.find(session, identifier)
            in_work = job.state in IN_WORK
            jobs.quarantine(session, job.id, Reason.CANCELLED, now=self.now(), actor=actor)
            job_id, recording_id = job.id, job.recording_id
        if in_work:
            self.on_cancel(job_id)
        return f"job {job_id} (recording {recording_id[:8]}) is cancelled; `medasrd quarantine release {recording_id[:8]}` undoes it"
