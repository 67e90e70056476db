"""The daemon's side of the model child: hands it recordings, watches it, and replaces it when it dies, hangs or runs out of memory.

::

    stopped ──work──▶ loading ──Ready──▶ serving ──unload()──▶ stopped
       ▲                 └────── lost ──────┘
       └── rest, after five in a row ◀─┘      lost: exit, signal, garbage on the pipe, no sign of progress in time

Nothing here blocks longer than asked, and nothing runs in a thread: everything happens within :meth:`EngineHost.poll`, called
again and again by one thread. (Linux ends the child when the *thread* that started it ends.)
"""

from __future__ import annotations

import errno
import logging
import selectors
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.engine.dispatch import Dispatch, Pending
from daemon.engine.ladder import Ladder, Patience, Rung
from daemon.engine.process import EngineProcess
from daemon.engine.protocol import (
    Cancel,
    Completed,
    Died,
    EngineEvent,
    EngineFailure,
    EngineOptions,
    Exhausted,
    Failed,
    Fatal,
    Fault,
    Progress,
    Ready,
    Reply,
    Transcribe,
    Unreadable,
    Working,
)
from medasr.errors import EngineError, ModelError
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

#: ``-P``: modules come from where medasr is installed, never from the folder the daemon happens to be started in.
ENGINE_COMMAND = (sys.executable, "-P", "-m", "daemon.engine.child")

_STOP_SECONDS = 5.0
_SAMPLE_BYTES = 4
_MEMORY_ERRORS = ("MemoryError", "OutOfMemoryError")


class EngineHost:
    """Keeps one model child and the recordings in flight. Use from one thread."""

    def __init__(
        self,
        options: EngineOptions,
        command: Sequence[str] = ENGINE_COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Given what the child is to load, the command that starts it, and a clock in seconds. Nothing is started yet."""
        self._options = options
        self._command = command
        self._clock = clock
        self._selector = selectors.EpollSelector()
        self._dispatch = Dispatch()
        self._process: EngineProcess | None = None
        self._ready: Ready | None = None
        self._working: set[str] = set()
        self._fault: Fault | None = None
        self._last_sign = 0.0
        self._ladder = Ladder(Rung(batch_size=options.model.batch_size, device=options.model.device))
        self._patience = Patience()
        self.restarts = 0  #: children lost since the host was made

    @property
    def options(self) -> EngineOptions:
        """What is loaded, or will be for the next recording."""
        return self._options

    @property
    def in_flight(self) -> set[str]:
        """The recordings submitted and neither completed nor failed."""
        return {pending.id for pending in self._dispatch.pending}

    @property
    def pending_seconds(self) -> float:
        """Seconds of audio in flight."""
        return sum(pending.seconds for pending in self._dispatch.pending)

    @property
    def ready(self) -> Ready | None:
        """What is loaded and where; None while nothing is."""
        return self._ready

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        process = self._process  # once: the thread that answers commands asks too
        return process.pid if process else None

    @property
    def healthy(self) -> bool:
        """False while the host rests because its children keep dying: hand it nothing more."""
        return not self._patience.resting(self._clock())

    def submit(self, recording: str, pcm: Path, *, urgent: bool = False, terms: str = "") -> None:
        """Have a recording transcribed: its id, and its normalized audio as written by :func:`medasr.audio.normalize`.

        An ``urgent`` one comes before those that are not. ``terms`` names one of the options' lists, the terms of which are preferred.
        """
        try:
            seconds = pcm.stat().st_size / _SAMPLE_BYTES / SAMPLE_RATE
        except OSError:
            seconds = 0.0  # the child will say that it cannot be read
        self._dispatch.add(Pending(id=recording, pcm=pcm, seconds=seconds, urgent=urgent, terms=terms))
        if self._ready:
            self._hand_over()  # the caller may decode the next recording before it polls

    def cancel(self, recording: str) -> None:
        """Forget a recording; no event follows."""
        self._dispatch.remove(recording)
        if self._process:
            self._process.send(Cancel(id=recording))

    def ensure_started(self) -> list[EngineEvent]:
        """Start a child if there is none, unless its predecessors kept dying just now; :meth:`poll` does so for work."""
        if self._process or not self.healthy:
            return []
        try:
            self._start()
        except OSError as error:
            return self._lose(EngineFailure.CRASHED, f"CANNOT_START:{errno.errorcode.get(error.errno or 0, 0)}")
        return []

    def unload(self) -> None:
        """Take the weights out of memory if nothing is in flight; the next child starts with the configured values."""
        if not self._dispatch.pending:
            self._end_child()

    def reload(self, options: EngineOptions) -> None:
        """Load other weights from now on. What is in flight goes to the child that has them, and nobody is blamed for the change.

        However often children with the old weights died, the new ones are tried at once.
        """
        if options == self._options:
            return
        running = self._process is not None
        self._options = options
        self._ladder = Ladder(Rung(batch_size=options.model.batch_size, device=options.model.device))
        self._patience = Patience()
        self._end_child(0.0)
        self._dispatch.lost((), blame=False)
        self._working = set()
        if running:
            self.ensure_started()

    def stop(self, timeout: float = _STOP_SECONDS) -> None:
        """End the child within ``timeout`` seconds and forget what is in flight; poll until that is empty to lose nothing."""
        self._dispatch.clear()
        self._end_child(timeout)

    def poll(self, timeout: float = 0.0) -> list[EngineEvent]:
        """Do whatever is due, waiting at most ``timeout`` seconds for the child to speak; return what happened, in order.

        Raise ModelError when the weights cannot be used: then nothing is transcribed until a person mends it.
        """
        events = self.ensure_started() if self._dispatch.pending else []
        if self._ready:
            self._hand_over()
        elif self._process:
            self._process.flush()  # its options, with lists of terms, may be more than the pipe holds
        self._selector.select(max(0.0, min(timeout, self._seconds_left())) if not events else 0.0)
        events += self._listen()
        if self._process and self._seconds_left() <= 0:
            events += self._lose(EngineFailure.HUNG, "")
        return events

    def _start(self) -> None:
        self._fault, self._ready = None, None
        self._working.clear()
        self._last_sign = self._clock()
        rung = self._ladder.rung
        less: dict[str, object] = {"batch_size": rung.batch_size, "device": rung.device}
        if self._ladder.on_fallback_device:
            less["precision"] = "auto"  # the one asked for may exist on the GPU only
        model = self._options.model.model_copy(update=less)
        self._process = EngineProcess(self._command, replace(self._options, model=model), self._selector)
        logger.info("model process started", extra={"pid": self._process.pid, "batch_size": model.batch_size})

    def _end_child(self, timeout: float = _STOP_SECONDS) -> None:
        if self._process:
            self._process.end(timeout)
        self._process = self._ready = None
        self._ladder.reset()

    def _hand_over(self) -> None:
        """Give the child what is due, or only what is urgent while it runs dry because a better one is to take its place."""
        if self._process is None:
            return
        runs_dry = self._ladder.expired(self._clock()) and not self._dispatch.probing
        if runs_dry and not self._dispatch.busy:
            self._end_child()
            return
        was_busy = self._dispatch.busy
        for pending in self._dispatch.due(only_urgent=runs_dry):
            self._process.send(Transcribe(id=pending.id, pcm=pending.pcm, urgent=pending.urgent, terms=pending.terms))
        if not was_busy:
            self._last_sign = self._clock()
        self._process.flush()

    def _seconds_left(self) -> float:
        """How long the child may still stay silent."""
        if self._process is None or (self._ready and not self._dispatch.busy):
            return float("inf")
        limit = self._options.hang_seconds if self._ready else self._options.load_seconds
        return self._last_sign + limit - self._clock()

    def _listen(self) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        process = self._process
        if process is None:
            return events
        try:
            for reply in process.receive():
                self._last_sign = self._clock()
                events += self._take(reply)
                if self._process is not process:
                    return events
        except EngineError:
            return events + self._lose(EngineFailure.CRASHED, "NO_FRAMES")
        if process.ended:
            events += self._lose_ended(process)
        return events

    def _take(self, reply: Reply) -> list[EngineEvent]:
        """What a reply means for the recordings in flight; one about a cancelled recording means nothing."""
        match reply:
            case Ready():
                self._ready = reply
                return [reply]
            case Working(ids=ids):
                self._working = set(ids)
            case Progress(id=recording) if recording in self._dispatch:
                return [reply]
            case Completed(id=recording) if recording in self._dispatch:
                return [self._complete(reply)]
            case Unreadable(id=recording) if recording in self._dispatch:
                self._dispatch.remove(recording)
                return [Failed(id=recording, blame=False, kind=EngineFailure.PCM_UNREADABLE)]
            case Exhausted(id=recording) if recording in self._dispatch:
                self._working = {recording}
                return self._lose(EngineFailure.OUT_OF_MEMORY, "", tried=1)
            case Fault():
                self._fault = reply
            case Fatal(message=message):
                self._end_child(0.0)
                raise ModelError(message)
        return []

    def _complete(self, reply: Completed) -> Completed:
        self._dispatch.remove(reply.id)
        self._working.discard(reply.id)
        self._patience.finished()
        return replace(reply, fallback=self._ladder.finished(reply.batch_size, self._clock()))

    def _lose_ended(self, process: EngineProcess) -> list[EngineEvent]:
        """The child ended by itself: tell from its last words and its exit status why."""
        status = process.end(1.0)
        self._process = None
        if self._fault:
            memory = self._fault.error in _MEMORY_ERRORS
            fault = f"{self._fault.error} at {self._fault.position}"
            return self._lose(EngineFailure.OUT_OF_MEMORY if memory else EngineFailure.CRASHED, fault)
        fault = "CLOSED_PIPE" if status is None else f"EXIT_STATUS:{status}"
        # Nobody but the kernel's out-of-memory killer sends SIGKILL without being asked to.
        killed = status == -signal.SIGKILL
        return self._lose(EngineFailure.OUT_OF_MEMORY if killed else EngineFailure.CRASHED, fault)

    def _lose(self, kind: EngineFailure, fault: str, tried: int | None = None) -> list[EngineEvent]:
        """Bury the child, and settle with how much less the next one tries and which recordings it gets first."""
        if self._process:
            self._process.end()
        tried = tried or (self._ladder.rung.batch_size if self._ready else 1)
        device = self._ready.device if self._ready else None
        lowered = self._ladder.lower(kind, tried=tried, device=device, now=self._clock())
        # A recording that may fit on a lower rung is not to blame yet.
        may_fit = lowered and kind is EngineFailure.OUT_OF_MEMORY
        blamed = self._dispatch.lost(self._working, blame=not may_fit)
        self._process = self._ready = self._fault = None
        self._working = set()
        self.restarts += 1
        self._patience.lost(self._clock())
        in_row = self._patience.lost_in_row
        logger.warning("model process lost", extra={"kind": kind, "fault": fault, "in_row": in_row})
        events: list[EngineEvent] = [Died(kind=kind, fault=fault)]
        if blamed is not None:
            events.append(Failed(id=blamed, blame=True, kind=kind))
        return events
