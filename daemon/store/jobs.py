"""The queue: every change of a job's state is one function here, and leaves one line in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session, joinedload

from daemon.store import audit, recordings
from daemon.store.schema import Job
from daemon.store.states import ENDED, IN_WORK, WAITING, JobState, Priority
from medasr.errors import FatalError, Reason

#: The longest wait between two attempts.
LONGEST_WAIT = timedelta(hours=1)
#: A number with at most so many digits is a job, anything longer the beginning of a recording's id.
_JOB_DIGITS = 6


def next_waiting(
    session: Session, *, now: datetime, least: Priority = Priority.ORDINARY, without: Sequence[int] = ()
) -> Job | None:
    """Return the job that has waited longest among the most urgent of those that may start now, with its recording.

    ``least``: only those of this priority or a higher one; ``without``: the others alone.
    One that has to wait longer than :data:`LONGEST_WAIT` was put there by a clock that has been set back since: it may start.
    """
    candidates = []
    for state in WAITING:
        query = select(Job).options(joinedload(Job.recording)).where(Job.state == state, Job.priority <= least)
        if without:
            query = query.where(Job.id.not_in(without))
        if state is JobState.RETRY:
            query = query.where(or_(Job.not_before <= now, Job.not_before > now + LONGEST_WAIT))
        job = session.scalar(query.order_by(Job.priority, Job.not_before, Job.id).limit(1))
        if job is not None:
            candidates.append(job)
    return min(candidates, key=lambda job: (job.priority, job.not_before, job.id), default=None)


def claim(session: Session, job_id: int, *, owner: str, lease: timedelta, now: datetime) -> Job | None:
    """Take a waiting job under a lease and begin decoding it; the attempt is counted before the work.

    Return None when it does not wait any more: a person may have cancelled it since it was found.
    """
    job = session.get_one(Job, job_id)
    if job.state not in WAITING:
        return None
    job.attempts += 1
    job.lease_owner, job.lease_until = owner, now + lease
    _move(session, job, JobState.DECODING, now=now, attempt=job.attempts)
    return job


def decoded(session: Session, job_id: int, *, now: datetime) -> None:
    """The samples are ready; the model is next."""
    _move(session, _get(session, job_id, (JobState.DECODING,)), JobState.TRANSCRIBING, now=now)


def finish(session: Session, job_id: int, state: JobState, *, now: datetime, **figures: Any) -> None:
    """End a job as done, needs_review or no_speech, in the transaction that stores its transcript."""
    job = _get(session, job_id, IN_WORK)
    _release_lease(job)
    job.trouble = None
    _move(session, job, state, now=now, **figures)


def postpone(session: Session, job_id: int, *, trouble: str, wait: timedelta, now: datetime) -> None:
    """The attempt failed and counts; wait before the next one, doubling each time up to :data:`LONGEST_WAIT`."""
    job = _get(session, job_id, IN_WORK)
    _release_lease(job)
    job.not_before = now + min(wait * 2 ** (job.attempts - 1), LONGEST_WAIT)
    job.trouble = trouble
    _move(session, job, JobState.RETRY, now=now, trouble=trouble)


def put_back(session: Session, job_id: int, *, trouble: str, wait: timedelta, now: datetime) -> None:
    """The attempt was cut short by something that is not the recording's fault (disk full, stop): it does not count."""
    job = _get(session, job_id, IN_WORK)
    _release_lease(job)
    job.attempts -= 1
    job.not_before = now + wait if wait else job.created_at
    job.trouble = trouble
    _move(session, job, JobState.RETRY, now=now, trouble=trouble)


def quarantine(session: Session, job_id: int, reason: Reason, *, now: datetime, actor: str = "daemon") -> None:
    """Set a recording aside for a person to look at."""
    job = _get(session, job_id, (*WAITING, *IN_WORK))
    _release_lease(job)
    job.reason = reason
    _move(session, job, JobState.QUARANTINED, now=now, actor=actor, reason=reason)


def is_held(session: Session, job_id: int, owner: str) -> bool:
    """Return whether this worker still holds the job; a person may have cancelled it meanwhile."""
    job = session.get(Job, job_id)
    return job is not None and job.state in IN_WORK and job.lease_owner == owner


def renew(session: Session, job_ids: Iterable[int], *, lease: timedelta, now: datetime) -> None:
    """The worker is alive and still has these jobs."""
    query = update(Job).where(Job.id.in_(list(job_ids)), Job.state.in_(IN_WORK))
    session.execute(query.values(lease_until=now + lease))


def void_leases(session: Session, *, max_attempts: int, now: datetime) -> int:
    """At start, with the home locked: put back whatever a process that is no more had in work. Return how many.

    A job that was in work at more than ``max_attempts`` deaths, the last of them alone, is quarantined.
    """
    orphans = list(session.scalars(select(Job).where(Job.state.in_(IN_WORK))))
    for job in orphans:
        _release_lease(job)
        if job.attempts > max_attempts:
            job.reason = Reason.ATTEMPTS
            _move(session, job, JobState.QUARANTINED, now=now, reason=Reason.ATTEMPTS)
        else:
            job.not_before = job.created_at
            job.trouble = "INTERRUPTED"
            _move(session, job, JobState.RETRY, now=now, trouble="INTERRUPTED")
    return len(orphans)


def retry(session: Session, job_id: int, *, actor: str, now: datetime) -> None:
    """A person wants another try, now: of a quarantined recording, or of one that waits. Raise FatalError for other states."""
    job = _get(session, job_id, (JobState.QUARANTINED, JobState.RETRY))
    job.attempts, job.reason, job.not_before, job.delivered_at = 0, None, now, None
    _move(session, job, JobState.RECEIVED, now=now, actor=actor)


def again(session: Session, recording_id: str, *, actor: str, now: datetime) -> None:
    """A person wants a transcribed recording transcribed again, by what serves now: a new job, as if it had just come.

    It is not urgent, whatever the recording was: that has a transcript, and those that wait have none.
    """
    job = Job(
        recording_id=recording_id,
        state=JobState.RECEIVED,
        attempts=0,
        not_before=now,
        created_at=now,
        updated_at=now,
    )
    session.add(job)
    session.flush()
    audit.record(session, now=now, actor=actor, action="again", recording_id=recording_id, job=job.id)


def undelivered(session: Session, *, limit: int, without: Sequence[int] = ()) -> Sequence[Job]:
    """Return ended jobs whose files are not yet in outbox or quarantine, urgent ones first, then the oldest; ``without`` some."""
    query = select(Job).options(joinedload(Job.recording)).where(Job.delivered_at.is_(None), Job.state.in_(ENDED))
    if without:
        query = query.where(Job.id.not_in(without))
    return session.scalars(query.order_by(Job.priority, Job.id).limit(limit)).all()


def delivered(session: Session, job_id: int, *, output_name: str, now: datetime) -> bool:
    """The files are complete under this name. Return False, noting nothing, when a person released the job meanwhile."""
    job = session.get_one(Job, job_id, options=[joinedload(Job.recording)])
    if job.state not in ENDED:
        return False
    job.recording.output_name = output_name
    job.delivered_at = now
    return True


def listing(session: Session, *, states: Sequence[JobState] = (), limit: int | None = None) -> Sequence[Job]:
    """Return jobs with their recordings, newest first."""
    query = select(Job).options(joinedload(Job.recording)).order_by(Job.id.desc())
    if states:
        query = query.where(Job.state.in_(states))
    return session.scalars(query.limit(limit)).all()


def of_recording(session: Session, recording_id: str) -> Job:
    """Return the latest job of a recording."""
    query = select(Job).options(joinedload(Job.recording)).where(Job.recording_id == recording_id)
    return session.scalars(query.order_by(Job.id.desc()).limit(1)).one()


def find(session: Session, identifier: str) -> Job:
    """Given a job's number or the beginning of a recording's id, return the job. Raise FatalError when there is none."""
    if identifier.isdecimal() and len(identifier) <= _JOB_DIGITS:
        job = session.get(Job, int(identifier), options=[joinedload(Job.recording)])
        if job is None:
            raise FatalError(f"there is no job {identifier}; `medasrd jobs list` shows them")
        return job
    return of_recording(session, recordings.find(session, identifier).id)


def _get(session: Session, job_id: int, states: Sequence[JobState]) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        raise FatalError(f"there is no job {job_id}; `medasrd jobs list` shows them")
    if job.state not in states:
        raise FatalError(f"job {job_id} is {job.state}; this can be done only to one that is {' or '.join(states)}")
    return job


def _release_lease(job: Job) -> None:
    job.lease_owner = job.lease_until = None


def _move(
    session: Session,
    job: Job,
    state: JobState,
    *,
    now: datetime,
    actor: str = "daemon",
    **detail: str | int | float | None,
) -> None:
    job.state = state
    job.updated_at = now
    session.flush()
    audit.record(session, now=now, actor=actor, action=state, recording_id=job.recording_id, job=job.id, **detail)
