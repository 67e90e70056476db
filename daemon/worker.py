"""The worker: moves jobs to their next state, one turn at a time, and decides what every failure means.

A turn delivers finished files, takes results from the model child, and keeps it fed: the longest-waiting job is claimed, decoded
and handed over, until enough audio waits in front of the model. Nothing here is kept only in memory: a worker that dies at any
line is continued by the next one from the rows it committed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from daemon.crashpoint import crash_point
from daemon.delivery import Places, deliver_ended
from daemon.engine.protocol import Completed, Died, Failed
from daemon.intake import spool
from daemon.ports import Decoder, Engine
from daemon.pulse import Pulse
from daemon.store import jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.schema import Job
from medasr.errors import FatalError, Reason, RecordingError, TransientError
from medasr.lexicon import Lexicon, find_terms

if TYPE_CHECKING:
    from daemon.decode.server import DecodeLimits
    from daemon.engine.protocol import EngineEvent

logger = logging.getLogger(__name__)

#: How long a claim holds; renewed while the worker lives.
LEASE = timedelta(minutes=5)
#: How long the worker leaves everything alone after trouble with the machine: disk full, database locked, share away.
PAUSE = timedelta(seconds=10)
#: Within so many seconds a turn without decoding shows a sign of life; a slow disk may make it slow.
TURN_SECONDS = 60.0
#: Files delivered and jobs begun in one turn at most, so that neither keeps the other waiting.
TURN = 16
#: What a decoder may do once by accident.
DECODER_FAILURES = frozenset({Reason.DECODER_CRASHED, Reason.DECODER_TIMEOUT, Reason.DECODER_MEMORY})
#: At this many failures of the decoder the recording is set aside.
DECODER_ATTEMPTS = 2


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How the worker goes about it."""

    samples: Path  #: folder for normalized samples between decoder and model
    places: Places
    max_attempts: int
    retry: timedelta
    backlog_seconds: float
    limits: DecodeLimits
    decode_seconds: float  #: longest time that decoding may take
    owner: str  #: boot id and process, so that a lease tells whose it is


@dataclass(kw_only=True)
class Worker:
    """See the module's description."""

    store: Store
    decoder: Decoder
    engine: Engine
    lexicon: Lexicon
    options: WorkerOptions
    now: Callable[[], datetime]
    pulse: Pulse  #: told how long the next step may take; the service's watchdog looks at it
    trouble: str = ""  #: code of what holds the worker up, for status
    _in_work: dict[int, str] = field(default_factory=dict)  # job → recording
    _alone: bool = False  # the job in work failed before, with others; nothing else runs beside it
    _unstored: list[Completed] = field(default_factory=list)  # results the database would not take yet
    _cancelled: SimpleQueue[int] = field(default_factory=SimpleQueue)
    _paused_until: datetime | None = None
    _renewed: datetime | None = None

    def recover(self) -> int:
        """At start, with the home locked: void the leases of the dead and throw away their samples. Return how many jobs."""
        for leftover in self.options.samples.iterdir():
            leftover.unlink()
        with self.store.write() as session:
            return jobs.void_leases(session, max_attempts=self.options.max_attempts, now=self.now())

    def turn(self, timeout: float) -> bool:
        """Do what there is to do, waiting at most ``timeout`` seconds for the model; return whether anything was done.

        Raise FatalError when a person has to mend something; nothing is lost by stopping then.
        """
        self.pulse.expect(TURN_SECONDS + timeout)
        try:
            if self._paused():
                self._wait(timeout)
                return False
            self._reconcile()
            busy = self._store_results()
            busy = deliver_ended(self.store, self.options.places, limit=TURN, now=self.now) or busy
            busy = self._feed() or busy
            self._renew_leases()
            events = self.engine.poll(0 if busy else timeout)
            for event in events:
                self._on_event(event)
        except TransientError as error:
            self._pause(error)
            return False
        return busy or bool(events)

    @property
    def idle(self) -> bool:
        """Whether nothing is in work and nothing waits to be stored."""
        return not self._in_work and not self._unstored

    @property
    def in_work(self) -> frozenset[int]:
        """Jobs held."""
        return frozenset(self._in_work)

    def release(self) -> None:
        """On a clean stop: put back what is in work, as if it had not been tried."""
        for job_id in list(self._in_work):
            self._put_back(job_id, "STOPPED", timedelta(0))

    def cancel(self, job_id: int) -> None:
        """From another thread, which has ended the job in the database: drop its work at the next turn."""
        self._cancelled.put(job_id)

    def _reconcile(self) -> None:
        """Drop what was cancelled, and put back what the database would not take back when its attempt failed."""
        while not self._cancelled.empty():
            job_id = self._cancelled.get()
            if job_id in self._in_work:
                self.engine.cancel(str(job_id))
                self._forget(job_id)
        answered = {int(event.id) for event in self._unstored} | {int(item) for item in self.engine.in_flight}
        for job_id in self._in_work.keys() - answered:
            self._put_back(job_id, "INTERRUPTED", timedelta(0))

    def _paused(self) -> bool:
        return self._paused_until is not None and self.now() < self._paused_until

    def _wait(self, timeout: float) -> None:
        """While paused, results still arrive; they are kept until the database takes them."""
        for event in self.engine.poll(timeout):
            if isinstance(event, Completed):
                self._unstored.append(event)

    def _pause(self, error: TransientError) -> None:
        self.trouble = type(error).__name__
        self._paused_until = self.now() + PAUSE
        logger.warning("worker paused", extra={"code": self.trouble, "seconds": PAUSE.total_seconds()})

    def _feed(self) -> bool:
        """Claim, decode and hand over, until enough audio waits in front of the model."""
        begun = 0
        while (
            begun < TURN
            and not self._alone
            and self.engine.healthy
            and self.engine.pending_seconds < self.options.backlog_seconds
        ):
            with self.store.read() as session:
                job = jobs.next_waiting(session, now=self.now())
            if job is None:
                break
            alone = job.attempts >= self.options.max_attempts
            if alone and self._in_work:
                break
            self._attempt(job)
            self._alone = alone and job.id in self._in_work
            begun += 1
        return begun > 0

    def _attempt(self, job: Job) -> None:
        """The job boundary: whatever goes wrong with one recording ends here, as a state of its job."""
        with self.store.write() as session:
            claimed = jobs.claim(session, job.id, owner=self.options.owner, lease=LEASE, now=self.now())
            attempts = claimed.attempts
        self._in_work[job.id] = job.recording_id
        crash_point("decoding")
        try:
            self._decode(job)
        except TransientError as error:
            self._put_back(job.id, type(error).__name__, PAUSE)
            raise
        except RecordingError as error:
            again = error.reason in DECODER_FAILURES and attempts < DECODER_ATTEMPTS
            self._end_badly(job.id, error.reason, postpone=again)
        except FatalError:
            self._put_back(job.id, "STOPPED", timedelta(0))
            raise
        except Exception as error:
            logger.error("unexpected error", extra={"job": job.id, "error": type(error).__name__}, exc_info=True)
            self._end_badly(job.id, Reason.ATTEMPTS, postpone=attempts < self.options.max_attempts)

    def _decode(self, job: Job) -> None:
        recording = job.recording
        spool.verify(self.options.places.spool, recording.id, recording.sha256)
        samples = self._samples(job.id)
        source = spool.open_recording(self.options.places.spool, recording.id)
        try:
            sink = os.open(samples, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                self.pulse.expect(self.options.decode_seconds + TURN_SECONDS)
                facts = self.decoder.decode(source, sink, self.options.limits)
            finally:
                os.close(sink)
        finally:
            os.close(source)
        with self.store.write() as session:
            recordings.store_facts(session, recording.id, facts)
            jobs.decoded(session, job.id, now=self.now())
        crash_point("transcribing")
        self.engine.submit(str(job.id), samples)
        logger.info("decoded", extra={"job": job.id, "recording": recording.id, "seconds": round(facts.seconds, 1)})

    def _on_event(self, event: EngineEvent) -> None:
        if isinstance(event, Completed):
            self._unstored.append(event)
            self._store_results()
        elif isinstance(event, Failed) and int(event.id) in self._in_work:
            self._on_failure(int(event.id), event.kind, blame=event.blame)
        elif isinstance(event, Died):
            logger.warning("model process lost", extra={"kind": event.kind, "error": event.fault})

    def _on_failure(self, job_id: int, kind: str, *, blame: bool) -> None:
        if not blame:
            self._put_back(job_id, kind, timedelta(0))
            return
        with self.store.read() as session:
            attempts = session.get_one(Job, job_id).attempts
        self._end_badly(job_id, Reason.ENGINE_FAILED, postpone=attempts < self.options.max_attempts, trouble=kind)

    def _store_results(self) -> bool:
        """Store what the model finished; a result stays in memory until the database has it, and is not computed again."""
        stored = 0
        while self._unstored:
            self._store(self._unstored[0])
            self._unstored.pop(0)
            stored += 1
        self.trouble = ""
        return stored > 0

    def _store(self, event: Completed) -> None:
        job_id = int(event.id)
        if job_id not in self._in_work:  # cancelled while the model was at it
            return
        recording_id = self._in_work[job_id]
        transcript = event.transcript
        result = transcripts.Result(
            transcript=transcript,
            terms=tuple(find_terms(self.lexicon, transcript.segments, transcript.text)),
            model=event.version,
            device=event.device,
            fallback=event.fallback or None,
            engine_seconds=event.seconds,
        )
        crash_point("before_complete")
        with self.store.write() as session:
            if jobs.is_held(session, job_id, self.options.owner):
                transcripts.complete(session, job_id, recording_id, result, now=self.now())
        crash_point("after_complete")
        self._forget(job_id)
        figures = {"segments": len(transcript.segments), "terms": len(result.terms), "seconds": round(event.seconds, 2)}
        logger.info(
            "transcribed",
            extra={"job": job_id, "recording": recording_id, "state": transcript.verdict.kind, "device": event.device}
            | figures,
        )

    def _end_badly(self, job_id: int, reason: Reason, *, postpone: bool, trouble: str | None = None) -> None:
        with self.store.write() as session:
            if not jobs.is_held(session, job_id, self.options.owner):
                pass  # cancelled meanwhile: its state is decided
            elif postpone:
                jobs.postpone(session, job_id, trouble=trouble or reason, wait=self.options.retry, now=self.now())
            else:
                jobs.quarantine(session, job_id, reason, now=self.now())
        self._forget(job_id)
        logger.warning("postponed" if postpone else "quarantined", extra={"job": job_id, "reason": trouble or reason})

    def _put_back(self, job_id: int, trouble: str, wait: timedelta) -> None:
        with self.store.write() as session:
            if jobs.is_held(session, job_id, self.options.owner):
                jobs.put_back(session, job_id, trouble=trouble, wait=wait, now=self.now())
        self._forget(job_id)

    def _forget(self, job_id: int) -> None:
        self._in_work.pop(job_id, None)
        if not self._in_work:
            self._alone = False
        self._samples(job_id).unlink(missing_ok=True)

    def _samples(self, job_id: int) -> Path:
        return self.options.samples / f"{job_id}.f32"

    def _renew_leases(self) -> None:
        now = self.now()
        if self._in_work and (self._renewed is None or now - self._renewed > LEASE / 3):
            with self.store.write() as session:
                jobs.renew(session, self._in_work, lease=LEASE, now=now)
            self._renewed = now
