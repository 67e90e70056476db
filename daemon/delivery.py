"""Delivery: the files of ended jobs, written again until they are complete.

Recordings are safe in the store by then: a share that is away keeps files waiting, never the transcription.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from daemon.crashpoint import crash_point
from daemon.intake import spool
from daemon.outbox import Folder, deliver_quarantined, deliver_transcript, withdraw_quarantined
from daemon.pause import Pause, Postponements
from daemon.pulse import Pulse
from daemon.store import jobs, transcripts
from daemon.store.connection import Store
from daemon.store.schema import Job
from daemon.store.states import JobState
from medasr.errors import FatalError, TransientError

logger = logging.getLogger(__name__)

#: Within so many seconds the files of one job are written, beyond the time that copying a quarantined recording may take.
DELIVERY_SECONDS = 60.0
#: Slowest share that is still called alive, bytes a second.
SLOWEST_COPY = 2**20


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where recordings lie and where their files go."""

    spool: Path
    outbox: Folder
    quarantine: Folder


class Delivery:
    """Delivers what has ended, a few jobs at a time; a folder that cannot be written to is left alone for a while."""

    def __init__(self, store: Store, places: Places, *, now: Callable[[], datetime], pulse: Pulse) -> None:
        self._store = store
        self._places = places
        self._now = now
        self._pulse = pulse
        self._pause = Pause(now)
        self._put_off = Postponements(now)
        self.trouble = ""  #: code of what holds it up, for status

    def turn(self, *, limit: int) -> bool:
        """Deliver at most ``limit`` jobs if nothing is in the way, urgent ones first, then the oldest; return whether any was delivered.

        A job whose files cannot be written is put off, and the others are delivered; where the next one fails too, it is the folder, and all
        are left alone for a while.
        """
        if self._pause.on:
            return False
        delivered, failed = 0, 0  # failed: one after the other
        try:
            with self._store.read() as session:
                ended = jobs.undelivered(session, limit=limit, without=self._put_off.waiting)
            for job in ended:
                try:
                    self._deliver(job)
                except TransientError:
                    self._put_off.put_off(job.id)
                    failed += 1
                    if failed == 2:
                        raise
                    logger.warning("files of a recording cannot be delivered now", extra={"job": job.id}, exc_info=True)
                else:
                    self._put_off.done(job.id)
                    delivered, failed = delivered + 1, 0
        except TransientError as error:
            self._pause.begin()
            logger.warning("files cannot be delivered now", extra={"error": type(error).__name__}, exc_info=True)
        self._pulse.expect(DELIVERY_SECONDS)
        self.trouble = "DELIVERY" if self._pause.on or self._put_off.waiting else ""
        return delivered > 0

    def _deliver(self, job: Job) -> None:
        """Write the files of an ended job, and note it. Raise TransientError when they cannot be written now."""
        self._pulse.expect(DELIVERY_SECONDS + job.recording.size / SLOWEST_COPY)
        crash_point("before_delivery")
        name = _write(self._store, self._places, job)
        crash_point("after_delivery")
        with self._store.write() as session:
            noted = jobs.delivered(session, job.id, output_name=name, now=self._now())
        if not noted:
            withdraw_quarantined(self._places.quarantine, job)


def _write(store: Store, places: Places, job: Job) -> str:
    if job.state == JobState.QUARANTINED:
        return deliver_quarantined(places.quarantine, job, spool.recording_path(places.spool, job.recording_id))
    with store.read() as session:
        transcript = transcripts.latest(session, job.recording_id)
        if transcript is None:
            raise FatalError(f"job {job.id} is {job.state} without a transcript; run `medasrd db check`")
        return deliver_transcript(places.outbox, transcript)
