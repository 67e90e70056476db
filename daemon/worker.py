"""The worker: moves jobs to their next state, one turn at a time, and decides what every failure means.

A turn delivers finished files, takes results from the model child, and keeps it fed: the most urgent job, of those the one that has
waited longest, is claimed, decoded and handed over, until enough audio waits in front of the model. Nothing here is kept only in memory: a worker that dies at any
line is continued by the next one from the rows it committed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from daemon import samples
from daemon.claims import LEASE, Claims
from daemon.crashpoint import crash_point
from daemon.delivery import Delivery, Places
from daemon.engine.protocol import Completed, Failed
from daemon.pause import PAUSE, Pause, Postponements
from daemon.ports import Decoder, Engine
from daemon.pulse import Pulse
from daemon.results import store_result
from daemon.store import jobs, recordings
from daemon.store.connection import Store
from daemon.store.schema import Job
from daemon.store.states import Priority
from daemon.workload import Workload
from medasr.errors import FatalError, MedasrError, Reason, RecordingError, TransientError
from medasr.lexicon import Lexicon

if TYPE_CHECKING:
    from daemon.decode.server import DecodeLimits
    from daemon.engine.bias import Bias
    from daemon.engine.protocol import EngineEvent
    from medasr.quality import QualityThresholds

logger = logging.getLogger(__name__)

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
    quality: QualityThresholds
    bias: Bias  #: which recordings have a list of terms
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
    _unstored: list[Completed] = field(default_factory=list)  # results the database would not take yet
    _cancelled: SimpleQueue[int] = field(default_factory=SimpleQueue)
    _renewed: datetime | None = None
    _trouble: str = ""

    def __post_init__(self) -> None:
        options = self.options
        self._claims = Claims(
            store=self.store,
            owner=options.owner,
            max_attempts=options.max_attempts,
            retry=options.retry,
            now=self.now,
        )
        self._in_work = Workload(backlog_seconds=options.backlog_seconds)
        self._pause = Pause(self.now)
        self._put_off = Postponements(self.now)
        self._delivery = Delivery(self.store, options.places, now=self.now, pulse=self.pulse)

    def recover(self) -> int:
        """At start, with the home locked: void the leases of the dead and throw away their samples. Return how many jobs."""
        samples.sweep(self.options.samples)
        with self.store.write() as session:
            return jobs.void_leases(session, max_attempts=self.options.max_attempts, now=self.now())

    def turn(self, timeout: float) -> bool:
        """Do what there is to do, waiting at most ``timeout`` seconds for the model; return whether anything was done.

        Raise FatalError when a person has to mend something; nothing is lost by stopping then.
        """
        self.pulse.expect(TURN_SECONDS + timeout)
        try:
            if self._pause.on:
                self._wait(timeout)
                return False
            self._reconcile()
            busy = self._store_results()
            busy = self._delivery.turn(limit=TURN) or busy
            busy = self._feed() or busy
            self._renew_leases()
            events = self.engine.poll(0 if busy else timeout)
            self._take(events)
        except TransientError as error:
            self._on_trouble(error)
            return False
        return busy or bool(events)

    @property
    def idle(self) -> bool:
        """Whether nothing is in work and nothing waits to be stored."""
        return not self._in_work and not self._unstored

    @property
    def trouble(self) -> str:
        """Code of what holds the worker or its delivery up; empty when nothing does."""
        return self._trouble or self._delivery.trouble

    @property
    def in_work(self) -> frozenset[int]:
        """Jobs held."""
        return frozenset(self._in_work)

    def release(self) -> None:
        """On a clean stop: put back what is in work, as if it had not been tried."""
        self._claims.put_back(self._in_work, trouble="STOPPED")
        for job_id in self._in_work:
            self._forget(job_id)

    def cancel(self, job_id: int) -> None:
        """From another thread, which has ended the job in the database: drop its work at the next turn."""
        self._cancelled.put(job_id)

    def _reconcile(self) -> None:
        """Drop what was cancelled, and put back what the database would not take back when its attempt failed."""
        while not self._cancelled.empty():
            job_id = self._cancelled.get()
            if job_id in self._in_work and not self._claims.holds(job_id):
                self._drop(job_id)
        answered = {int(event.id) for event in self._unstored} | {int(item) for item in self.engine.in_flight}
        for job_id in set(self._in_work) - answered:
            self._put_back(job_id, "INTERRUPTED")

    def _wait(self, timeout: float) -> None:
        """While paused, results still arrive; they are kept until the database takes them."""
        self._unstored += [event for event in self.engine.poll(timeout) if isinstance(event, Completed)]

    def _on_trouble(self, error: TransientError) -> None:
        self._trouble = type(error).__name__
        self._pause.begin()
        logger.warning("worker paused", extra={"code": self._trouble, "seconds": PAUSE.total_seconds()})

    def _feed(self) -> bool:
        """Claim, decode and hand over, until enough audio waits in front of the model."""
        begun = 0
        while begun < TURN and self.engine.healthy and (least := self._in_work.claimable()) is not None:
            job = self._next_waiting(least)
            if job is None:
                break
            alone = job.attempts >= self.options.max_attempts
            if alone and self._in_work:
                break
            self._attempt(job)
            self._in_work.alone = alone and job.id in self._in_work
            begun += 1
        return begun > 0

    def _next_waiting(self, least: Priority) -> Job | None:
        """The next job, of at least this priority; one that met trouble gives way to the others, for longer each time."""
        with self.store.read() as session:
            put_off, now = self._put_off.waiting, self.now()
            job = jobs.next_waiting(session, now=now, least=least, without=put_off)
            if job or self._in_work or not put_off:
                return job
            return jobs.next_waiting(session, now=now, least=least)

    def _attempt(self, job: Job) -> None:
        """Claim a job, decode its recording and hand it over; what goes wrong with it becomes a state of its job."""
        claimed = self._claims.take(job.id)
        if claimed is None:  # a person cancelled it since it was found
            return
        if job.id in self._in_work:  # a person cancelled and released it, and the model still has its first attempt
            self._drop(job.id)
        self._in_work.add(job.id, job.recording_id, Priority(job.priority))
        crash_point("decoding")
        try:
            with self._boundary(job.id):
                self._decode(job)
            self._put_off.done(job.id)
        except TransientError as error:
            self._put_off.put_off(job.id)
            self._put_back(job.id, type(error).__name__, PAUSE)
            raise
        except RecordingError as error:
            again = error.reason in DECODER_FAILURES and claimed.attempts < DECODER_ATTEMPTS
            self._end_badly(job.id, error.reason, postpone=again)
        except FatalError:
            self._put_back(job.id, "STOPPED")
            raise

    @contextmanager
    def _boundary(self, job_id: int) -> Iterator[None]:
        """The job boundary: what nobody expected of one recording ends here, as a state of its job."""
        try:
            yield
        except MedasrError:
            raise
        except Exception as error:
            logger.error("unexpected error", extra={"job": job_id, "error": type(error).__name__}, exc_info=True)
            self._end_badly(job_id, Reason.ATTEMPTS, postpone=self._claims.may_try_again(job_id))

    def _decode(self, job: Job) -> None:
        self.pulse.expect(self.options.limits.seconds_ceiling + TURN_SECONDS)
        path, limits, spool = self._samples(job.id), self.options.limits, self.options.places.spool
        facts = samples.decode_recording(self.decoder, limits, job.recording, spool_folder=spool, samples=path)
        self.pulse.expect(TURN_SECONDS)
        with self.store.write() as session:
            held = jobs.is_held(session, job.id, self.options.owner)
            if held:
                recordings.store_facts(session, job.recording_id, facts)
                jobs.decoded(session, job.id, now=self.now())
        if not held:  # a person cancelled it meanwhile
            self._forget(job.id)
            return
        crash_point("transcribing")
        self._in_work.decoded(job.id, facts.seconds)
        urgent, terms = job.priority == Priority.URGENT, self.options.bias.list_for(job.recording.label)
        self.engine.submit(str(job.id), path, urgent=urgent, terms=terms)
        logger.info("decoded", extra={"job": job.id, "recording": job.recording_id, "seconds": round(facts.seconds, 1)})

    def _take(self, events: Sequence[EngineEvent]) -> None:
        """Results first, all of them: the engine does not say them again when the database refuses what comes between."""
        self._unstored += [event for event in events if isinstance(event, Completed)]
        for event in events:
            if isinstance(event, Failed) and int(event.id) in self._in_work:
                self._on_failure(int(event.id), event.kind, blame=event.blame)
        self._store_results()

    def _on_failure(self, job_id: int, kind: str, *, blame: bool) -> None:
        if blame:
            self._end_badly(job_id, Reason.ENGINE_FAILED, postpone=self._claims.may_try_again(job_id), trouble=kind)
        else:
            self._put_back(job_id, kind)

    def _store_results(self) -> bool:
        """Store what the model finished; a result stays in memory until the database has it, and is not computed again."""
        stored = 0
        while self._unstored:
            event = self._unstored[0]
            with self._boundary(int(event.id)):
                self._store(event)
            self._unstored.pop(0)
            stored += 1
        self._trouble = ""
        return stored > 0

    def _store(self, event: Completed) -> None:
        job_id = int(event.id)
        if job_id in self._in_work:  # otherwise cancelled while the model was at it
            recording_id, owner = self._in_work.recording(job_id), self.options.owner
            store_result(
                self.store,
                self.lexicon,
                self.options.quality,
                event,
                recording_id=recording_id,
                owner=owner,
                now=self.now,
            )
            self._forget(job_id)

    def _end_badly(self, job_id: int, reason: Reason, *, postpone: bool, trouble: str = "") -> None:
        self._claims.end_badly(job_id, reason, postpone=postpone, trouble=trouble or reason)
        self._forget(job_id)
        logger.warning("postponed" if postpone else "quarantined", extra={"job": job_id, "reason": trouble or reason})

    def _put_back(self, job_id: int, trouble: str, wait: timedelta = timedelta(0)) -> None:
        self._claims.put_back([job_id], trouble=trouble, wait=wait)
        self._forget(job_id)

    def _forget(self, job_id: int) -> None:
        self._in_work.remove(job_id)
        self._samples(job_id).unlink(missing_ok=True)

    def _drop(self, job_id: int) -> None:
        """Have the model forget it too."""
        self.engine.cancel(str(job_id))
        self._forget(job_id)

    def _samples(self, job_id: int) -> Path:
        return samples.path_of(self.options.samples, job_id)

    def _renew_leases(self) -> None:
        now = self.now()
        if self._in_work and (self._renewed is None or not timedelta(0) <= now - self._renewed <= LEASE / 3):
            self._claims.renew(self._in_work)
            self._renewed = now
