"""Delivery: the files of ended jobs, written again until they are complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.crashpoint import crash_point
from daemon.intake import spool
from daemon.outbox import Folder, deliver_quarantined, deliver_transcript, withdraw_quarantined
from daemon.store import jobs, transcripts
from daemon.store.connection import Store
from daemon.store.schema import Job
from daemon.store.states import JobState
from medasr.errors import FatalError


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where recordings lie and where their files go."""

    spool: Path
    outbox: Folder
    quarantine: Folder


def deliver_ended(store: Store, places: Places, *, limit: int, now: Callable[[], datetime]) -> bool:
    """Write the files of at most ``limit`` ended jobs, oldest first; return whether there was any.

    Raise TransientError when a folder cannot be written to; what was not delivered is delivered by a later call.
    """
    with store.read() as session:
        ended = jobs.undelivered(session, limit=limit)
    for job in ended:
        crash_point("before_delivery")
        name = _deliver(store, places, job)
        crash_point("after_delivery")
        with store.write() as session:
            noted = jobs.delivered(session, job.id, output_name=name, now=now())
        if not noted:
            withdraw_quarantined(places.quarantine, job)
    return bool(ended)


def _deliver(store: Store, places: Places, job: Job) -> str:
    if job.state == JobState.QUARANTINED:
        return deliver_quarantined(places.quarantine, job, spool.recording_path(places.spool, job.recording_id))
    with store.read() as session:
        transcript = transcripts.latest(session, job.recording_id)
        if transcript is None:
            raise FatalError(f"job {job.id} is {job.state} without a transcript; run `medasrd db check`")
        return deliver_transcript(places.outbox, transcript)
