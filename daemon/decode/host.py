"""The daemon's side of decoding: descriptors go to a process that may die, facts or an error come back."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.decode.server import MAX_MESSAGE, READY, DecodeLimits
from medasr.errors import FatalError, Reason, RecordingError, TransientError
from medasr.types import AudioFacts

if TYPE_CHECKING:
    from daemon.config import Config

logger = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "daemon.decode.server")

#: How long starting may take: importing numpy and soundfile on a busy machine.
START_SECONDS = 120.0

#: What the server is given beyond the time limit of its child before it is taken for dead.
ANSWER_GRACE_SECONDS = 15.0

STOP_SECONDS = 5.0

#: All that the process inherits of our environment; configuration, tokens and home folders stay here.
_INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH")


class _Answer(BaseModel):
    """What the server says about one recording: exactly one of facts, reason and transient."""

    model_config = ConfigDict(extra="forbid", strict=True)

    facts: AudioFacts | None = None
    reason: Reason | None = None
    message: str = ""
    transient: str | None = None


def decode_limits(config: Config) -> DecodeLimits:
    """The limits that a configuration sets."""
    return DecodeLimits(
        max_seconds=config.intake.max_seconds,
        accept_truncated=config.intake.truncated == "transcribe",
        memory_bytes=config.decode.memory_bytes,
        seconds_floor=config.decode.seconds_floor,
        speed_floor=config.decode.speed_floor,
    )


class DecodeServer:
    """A process that decodes recordings, one at a time; started when first needed, and again whenever it died.

    Usable from several threads, which take turns; :meth:`stop` may come from any of them and ends a decode in flight.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def process_id(self) -> int | None:
        """Of the running server; None while there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process and wait until it can decode. Raise FatalError when it cannot run here at all."""
        with self._turn:
            self._stopped = False
            self._running_channel()

    def stop(self) -> None:
        """End the process, and with it a decode in flight. Later decodes are refused until :meth:`start`."""
        self._stopped = True
        channel = self._channel
        if channel is not None:
            with contextlib.suppress(OSError):  # closed meanwhile by the thread that uses it
                channel.shutdown(socket.SHUT_RDWR)
        with self._turn:
            self._end_process()

    def rest(self) -> None:
        """End a process that has nothing to do; the next decode starts another."""
        with self._turn:
            self._end_process()

    def decode(self, source: int, sink: int, limits: DecodeLimits) -> AudioFacts:
        """Normalize a recording as :func:`medasr.audio.normalize` does, in a process of its own.

        Given the descriptors of the recording and of a file open for reading and writing, return what the recording turned
        out to be. Raise RecordingError as normalize does, or with DECODER_CRASHED, DECODER_TIMEOUT or DECODER_MEMORY when the
        recording brought the decoder down; TransientError when the disk is full, the machine is out of memory or the server
        is stopped. After an error the sink's content is worthless.
        """
        with self._turn:
            channel = self._running_channel()
            channel.settimeout(limits.seconds_ceiling + ANSWER_GRACE_SECONDS)
            try:
                socket.send_fds(channel, [json.dumps(asdict(limits)).encode()], [source, sink])
                answer = channel.recv(MAX_MESSAGE)
            except TimeoutError:
                self._end_process(patience=0)
                raise RecordingError(
                    Reason.DECODER_TIMEOUT, "the decode server gave no answer in time and was replaced"
                ) from None
            except OSError:
                answer = b""
            if not answer:
                self._end_process()
                raise TransientError("the decode server ended while it was at work")
        return _read_answer(answer)

    def _running_channel(self) -> socket.socket:
        """The channel to a server that is ready, started if need be."""
        if self._stopped:
            raise TransientError("the decode server is stopped")
        if self._channel is not None and self.process_id is not None:
            return self._channel
        self._end_process()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for the daemon, which then ends the server
            )
        self._await_ready(self._channel)
        logger.info("decode server started", extra={"process_id": self._process.pid})
        return self._channel

    def _await_ready(self, channel: socket.socket) -> None:
        channel.settimeout(START_SECONDS)
        try:
            greeting = channel.recv(MAX_MESSAGE)
        except TimeoutError:
            self._end_process(patience=0)
            raise TransientError(f"the decode server was not ready within {START_SECONDS:.0f} s") from None
        if greeting == READY:
            return
        exit_code = self._end_process()
        if self._stopped or exit_code < 0:  # killed, by us or by somebody else
            raise TransientError("the decode server was stopped while it started")
        raise FatalError(
            "the decode server cannot run; its message is above, and `medasrd doctor` says what is missing"
        )

    def _end_process(self, patience: float = STOP_SECONDS) -> int:
        """Close the channel, which tells the server to leave, see it gone, and return its exit code; 0 if there was none."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return 0
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        exit_code = self._process.returncode
        self._process = None
        logger.info("decode server ended", extra={"exit_code": exit_code})
        return exit_code


def _environment() -> dict[str, str]:
    """Just enough to import what we import, with one thread for each numeric library: the server forks."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "PYTHONPATH": os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path),
    }


def _read_answer(answer: bytes) -> AudioFacts:
    """The facts, or the error, that an answer carries. A decoder taken over by its input may say anything, but only in this form."""
    try:
        content = _Answer.model_validate_json(answer)
    except ValidationError:
        raise RecordingError(Reason.DECODER_CRASHED, "the decoder's answer makes no sense") from None
    if content.transient is not None:
        raise TransientError(content.transient)
    if content.facts is None:
        raise RecordingError(content.reason or Reason.DECODER_CRASHED, content.message)
    return content.facts
