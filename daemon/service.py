"""The service: start the parts, tell systemd, serve until told to stop, stop cleanly.

Threads: this one turns the worker (decode, model, store); *intake* turns the inbox; *control* answers commands; *guard* feeds
systemd's watchdog while the other two show signs of life, and interrupts a decode when it is time to stop.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from daemon import notify
from daemon.config import Config
from daemon.control import ControlServer
from daemon.decode.host import DecodeServer
from daemon.engine.host import EngineHost
from daemon.evaluation import filing
from daemon.gate import filing as gate_filing
from daemon.intake.reception import Intake
from daemon.learning import record
from daemon.operations import Operations
from daemon.outbox import Folder
from daemon.registry import desk
from daemon.schedule import Schedule
from daemon.status import status_document
from daemon.store import jobs
from daemon.store.connection import Store
from daemon.store.states import WAITING, job_counts
from daemon.swap import Swap
from daemon.worker import Worker
from medasr.errors import EngineError, ModelError

logger = logging.getLogger(__name__)

#: How long an idle worker sleeps at most; new recordings and commands wake it earlier.
IDLE_SECONDS = 5.0
#: How long the worker waits for the model in one turn.
TURN_SECONDS = 0.5
#: How often the guard looks, unless the watchdog wants it oftener.
GUARD_SECONDS = 5.0
#: How long intake gathers events before it looks, so that a file written in many small pieces costs a few looks a second.
GATHER_SECONDS = 0.2
#: By how much intake may be late after a wait.
LATE_SECONDS = 60.0
#: Start-up time asked of systemd at a time while the weights load.
EXTENSION_SECONDS = 60


def utc_now() -> datetime:
    """The clock of the store."""
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Service:
    """The parts of a running daemon, held together."""

    config: Config
    store: Store
    intake: Intake
    worker: Worker
    engine: EngineHost
    decoder: DecodeServer
    wake_worker: threading.Event
    wake_intake: threading.Event
    once: bool
    stopping: threading.Event = field(default_factory=threading.Event)
    started_at: datetime = field(default_factory=utc_now)
    _fatal: list[BaseException] = field(default_factory=list)
    _scans: int = 0  # complete looks at the inbox so far
    _busy_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._swap = Swap(self.config, self.store, self.engine, now=utc_now, wake=self.wake_worker.set)

    def serve(self) -> None:
        """Serve until told to stop (or, once, until nothing is left to do). Raise what a person has to mend."""
        intake = threading.Thread(target=self._guarded(self._turn_intake), name="intake")
        guard = threading.Thread(target=self._guarded(self._guard), name="guard")
        control = ControlServer(self.config.paths.state, self._verbs())
        schedule = Schedule(self.config, self.store, utc_now)
        with ExitStack() as stack:
            control.start()
            stack.callback(control.stop)
            stack.callback(self.intake.close)
            guard.start()
            stack.callback(guard.join)
            intake.start()
            stack.callback(intake.join)
            stack.callback(self.stop)
            if not self.once:
                schedule.start()
                stack.callback(schedule.stop)
            self._load_model()
            notify.notify("READY=1", "STATUS=serving")
            logger.info("ready", extra={"pid": os.getpid()})
            while not self.stopping.is_set() and not (self.once and self._finished()):
                self._turn_worker()
            notify.notify("STOPPING=1")
            self.engine.stop()
            self.worker.release()
        if self._fatal:
            raise self._fatal[0]

    def stop(self) -> None:
        """From any thread: end in good order, soon."""
        self.stopping.set()
        self.intake.interrupt()
        self.wake_worker.set()
        self.wake_intake.set()

    def _turn_worker(self) -> None:
        self._swap.turn()
        try:
            busy = self.worker.turn(0 if self.worker.idle else TURN_SECONDS)
        except ModelError:
            if not self._swap.go_back():
                raise
            return
        if busy or not self.worker.idle:
            self._busy_at = time.monotonic()
            return
        unload_after = self.config.engine.idle_unload_seconds
        if unload_after and self.engine.pid is not None and time.monotonic() - self._busy_at > unload_after:
            self.engine.unload()
            self.decoder.rest()
        self.wake_worker.wait(IDLE_SECONDS if not self.once else TURN_SECONDS)
        self.wake_worker.clear()

    def _turn_intake(self) -> None:
        intake = self.config.intake
        interval = min(intake.rescan_seconds, intake.settle_seconds)
        while not self.stopping.is_set():
            if not self.intake.turn():
                self.intake.pulse.expect(interval + LATE_SECONDS)
                if self.wake_intake.wait(interval):
                    self.stopping.wait(GATHER_SECONDS)
                self.wake_intake.clear()
            self._scans += 1

    def _load_model(self) -> None:
        """Load the weights; systemd is asked for patience meanwhile."""
        self._swap.begin()
        self.engine.ensure_started()
        while self.engine.ready is None and not self.stopping.is_set():
            notify.notify(f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1_000_000}")
            self.worker.pulse.expect(EXTENSION_SECONDS)
            self.engine.poll(TURN_SECONDS)
            self._swap.look_after_loading()
            if not self.engine.healthy:
                raise EngineError("the model process keeps dying while it loads; `medasrd doctor` looks for the cause")
            self.engine.ensure_started()

    def _guard(self) -> None:
        """Bless the service only while both its threads show up in time; a hang is for systemd to end."""
        period = min(GUARD_SECONDS, (notify.watchdog_seconds() or GUARD_SECONDS * 2) / 2)
        while not self.stopping.wait(period):
            late = [name for name, part in (("intake", self.intake), ("worker", self.worker)) if part.pulse.late]
            if late:
                logger.error("no sign of life", extra={"code": ",".join(late)})
            else:
                notify.notify("WATCHDOG=1")
        self.stop()
        self.decoder.stop()

    def _guarded(self, target: Callable[[], None]) -> Callable[[], None]:
        """What ends a thread ends the service; the main thread raises it."""

        def run() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - handed over to the main thread, which raises it
                self._fatal.append(error)
            finally:
                self.stop()

        return run

    def _finished(self) -> bool:
        """Whether the inbox was read, nothing is on its way, and all files are delivered."""
        if self._scans < 2 or self.intake.status.taking or not self.worker.idle:
            return False
        if any(job_counts(self.config.paths.database)[state] for state in WAITING):
            return False
        with self.store.read() as session:
            return not jobs.undelivered(session, limit=1)

    def _verbs(self) -> dict[str, Callable[[str, str], Any]]:
        folder = Folder(path=self.config.paths.quarantine, group_readable=self.config.outbox.group_readable)
        operations = Operations(store=self.store, quarantine=folder, now=utc_now, on_cancel=self.worker.cancel)

        def then_wake(verb: Callable[..., str]) -> Callable[[str, str], str]:
            def act(argument: str, actor: str) -> str:
                done = verb(argument, actor=actor)
                self.wake_worker.set()
                return done

            return act

        return {
            "retry": then_wake(operations.retry),
            "release": then_wake(operations.release),
            "cancel": then_wake(operations.cancel),
            **record.handlers(self.store),
            **desk.handlers(self._swap.registry),
            filing.VERB: lambda key, actor: filing.store_report(self.config, self.store, key, actor=actor),
            gate_filing.VERB: lambda key, actor: gate_filing.store_verdict(self.config, self.store, key, actor=actor),
            "status": lambda _argument, _actor: self.status(),
        }

    def status(self) -> dict[str, Any]:
        """What the daemon is doing, for `medasrd status`."""
        ready = self.engine.ready
        return status_document(
            self.config,
            daemon={
                "pid": os.getpid(),
                "since": self.started_at.isoformat(),
                "model": {
                    "base": ready.version.base_id,
                    "version": self._swap.version,
                    "precision": ready.version.precision,
                    "audio_context": ready.version.audio_context,
                    "device": ready.device,
                }
                if ready
                else None,
                "serves": self._swap.version,
                "engine": "resting"
                if not self.engine.healthy
                else "ready"
                if ready
                else "loading"
                if self.engine.pid is not None
                else "unloaded",
                "engine_restarts": self.engine.restarts,
                "in_work": len(self.worker.in_work),
                "trouble": self.worker.trouble,
            },
            intake=self.intake.status,
        )


def listen_to_signals(service: Service) -> None:
    """SIGTERM and SIGINT stop cleanly, a second one at once (nothing is lost by that); SIGHUP has the inbox read.

    The handlers interrupt the main thread anywhere, also while it holds the lock of an event that it waits for; so they set only
    events that it does not wait for, and the guard passes the stop on.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if service.stopping.is_set():
            os._exit(1)
        service.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, lambda _number, _frame: service.wake_intake.set())
