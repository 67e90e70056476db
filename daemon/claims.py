"""The jobs that a worker holds. Every change asks first whether a person has taken the job away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.store import jobs
from daemon.store.connection import Store
from daemon.store.schema import Job
from medasr.errors import Reason

#: How long a claim holds; renewed while the worker lives.
LEASE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """One worker's claims; each call is one transaction, and raises TransientError when the database is busy or full."""

    store: Store
    owner: str  #: boot id and process, so that a lease tells whose it is
    max_attempts: int
    retry: timedelta  #: wait before the second attempt
    now: Callable[[], datetime]

    def take(self, job_id: int) -> Job | None:
        """Claim a waiting job; None when it does not wait any more."""
        with self.store.write() as session:
            return jobs.claim(session, job_id, owner=self.owner, lease=LEASE, now=self.now())

    def holds(self, job_id: int) -> bool:
        """Whether the job is still ours."""
        with self.store.read() as session:
            return jobs.is_held(session, job_id, self.owner)

    def may_try_again(self, job_id: int) -> bool:
        """Whether the attempt in hand is not the last one."""
        with self.store.read() as session:
            return session.get_one(Job, job_id).attempts < self.max_attempts

    def renew(self, job_ids: Iterable[int]) -> None:
        """We are alive and still have these jobs."""
        with self.store.write() as session:
            jobs.renew(session, job_ids, lease=LEASE, now=self.now())

    def put_back(self, job_ids: Iterable[int], *, trouble: str, wait: timedelta = timedelta(0)) -> None:
        """The attempts were cut short by something that is not the recordings' fault."""
        with self.store.write() as session:
            for job_id in job_ids:
                if jobs.is_held(session, job_id, self.owner):
                    jobs.put_back(session, job_id, trouble=trouble, wait=wait, now=self.now())

    def end_badly(self, job_id: int, reason: Reason, *, postpone: bool, trouble: str) -> None:
        """The attempt failed: another one later, or the quarantine."""
        with self.store.write() as session:
            if not jobs.is_held(session, job_id, self.owner):
                return
            if postpone:
                jobs.postpone(session, job_id, trouble=trouble, wait=self.retry, now=self.now())
            else:
                jobs.quarantine(session, job_id, reason, now=self.now())
