"""The process that opens hostile bytes: one small server, and one child per recording that may die.

Importing numpy and soundfile costs more than decoding a short clip, so the server does it once and forks. The child confines
itself by resource limits and a kernel clock, decodes, writes one line of JSON into a pipe and exits; the server judges what
became of it and answers the daemon. Neither sees the database, a file's name, or the daemon's environment.

Started by :class:`daemon.decode.host.DecodeServer` as ``python -m daemon.decode.server [MODULE]``, with a ``SOCK_SEQPACKET`` socket
as standard input. One request is the JSON of :class:`DecodeLimits` with two descriptors: the recording and the sink.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import json
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from medasr.errors import Reason, RecordingError

if TYPE_CHECKING:
    from medasr.audio import AudioHeader, AudioLimits
    from medasr.types import AudioFacts

READY = b'{"ready": true}'
MAX_MESSAGE = 32_768  #: bytes; below a pipe's capacity, so that a child never waits for its reader

#: What the child is given beyond its own clock before the server kills it.
KILL_GRACE_SECONDS = 2.0

_EXIT_MEMORY = 12
_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})

#: What a mistake in the program, ours or a library's, looks like.
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """What one recording may cost, and what is accepted."""

    max_seconds: float  #: longest recording
    accept_truncated: bool  #: take what there is of a cut recording
    memory_bytes: int  #: address space beyond what the process has at start
    seconds_floor: float  #: shortest time limit
    speed_floor: float  #: a recording may take its own length divided by this, if that is longer

    def seconds_for(self, recording_seconds: float) -> float:
        """The time limit for a recording of this length."""
        return max(self.seconds_floor, min(recording_seconds, self.max_seconds) / self.speed_floor)

    @property
    def seconds_ceiling(self) -> float:
        """The time limit for the longest recording accepted."""
        return self.seconds_for(self.max_seconds)


class Decoder(Protocol):
    """What is asked of a decoding module; :mod:`medasr.audio` is the one that is used."""

    def inspect(self, source: int) -> AudioHeader:
        """Read the header."""

    def normalize(self, source: int, sink: int, limits: AudioLimits) -> AudioFacts:
        """Decode into the sink."""


def main() -> None:
    """Serve until the daemon closes its end of the socket."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # a signal to the whole group must not take a decode in flight with it
    decoder = cast("Decoder", importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "medasr.audio"))
    daemon = socket.socket(fileno=os.dup(0))
    _silence(0)
    _warm_up(decoder)
    gc.collect()
    gc.freeze()  # a collection in a child must not copy every page that the server has
    with contextlib.suppress(BrokenPipeError):  # the daemon is gone
        _serve(decoder, daemon)


def _warm_up(decoder: Decoder) -> None:
    """Decode a second of silence, so that what libraries load and set up on first use is not paid for by every child."""
    import soundfile

    from medasr.audio import AudioLimits

    source, sink = os.memfd_create("source"), os.memfd_create("sink")
    soundfile.write(source, [[0.0, 0.0]] * 48_000, 48_000, format="WAV", subtype="PCM_16", closefd=False)
    decoder.inspect(source)
    decoder.normalize(source, sink, AudioLimits())
    os.close(source)
    os.close(sink)


def _serve(decoder: Decoder, daemon: socket.socket) -> None:
    daemon.send(READY)
    while True:
        request, descriptors, _, _ = socket.recv_fds(daemon, MAX_MESSAGE, 2)
        if not request:
            return
        try:
            answer = _decode(decoder, daemon, DecodeLimits(**json.loads(request)), *descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        daemon.send(answer)


def _decode(decoder: Decoder, daemon: socket.socket, limits: DecodeLimits, source: int, sink: int) -> bytes:
    """Decode one recording in a child and return the answer to send."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    server = os.getpid()
    child = os.fork()
    if child == 0:
        daemon.close()
        os.close(reader)
        _run_child(decoder, limits, server, source, sink, writer)
    os.close(writer)
    try:
        killed = _await_end(child, daemon, limits.seconds_ceiling + KILL_GRACE_SECONDS)
        _, status = os.waitpid(child, 0)
        return _judge(os.waitstatus_to_exitcode(status), killed, reader)
    finally:
        os.close(reader)


def _await_end(child: int, daemon: socket.socket, seconds: float) -> bool:
    """Wait until the child ends by itself; kill it, and say so, when it outlives its time. Exit when the daemon is gone."""
    deadline = time.monotonic() + seconds
    watched = os.pidfd_open(child)
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.register(daemon, 0)  # hang-up is always reported
    try:
        ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
    finally:
        os.close(watched)
    if watched in ready:
        return False
    os.kill(child, signal.SIGKILL)
    if ready:
        os.waitpid(child, 0)
        sys.exit(0)
    return True


def _judge(code: int, killed: bool, reader: int) -> bytes:
    """What became of a child: its own answer, or the reason why there is none."""
    if killed or code in (-signal.SIGALRM, -signal.SIGXCPU):
        return _refusal(Reason.DECODER_TIMEOUT, "decoding did not end in the time allowed for this length")
    if code == _EXIT_MEMORY:
        return _refusal(Reason.DECODER_MEMORY, "decoding needs more memory than decode.memory_bytes allows")
    if code == -signal.SIGKILL:
        return _message(transient="the decoder was killed from outside, probably because the machine ran out of memory")
    if code < 0:
        return _refusal(Reason.DECODER_CRASHED, f"the decoder died of {signal.Signals(-code).name}")
    try:
        answer = os.read(reader, MAX_MESSAGE)
    except BlockingIOError:  # nothing written, and somebody still holds the other end
        answer = b""
    return answer or _refusal(Reason.DECODER_CRASHED, f"the decoder ended without an answer (exit code {code})")


def _run_child(decoder: Decoder, limits: DecodeLimits, server: int, source: int, sink: int, writer: int) -> NoReturn:
    """In the child: confine, decode, answer, exit. Nothing may return into the server's code, whatever goes wrong."""
    exit_code = 1
    try:
        _confine(limits, server)
        os.write(writer, _answer(decoder, limits, source, sink))
        exit_code = 0
    except MemoryError:
        exit_code = _EXIT_MEMORY
    finally:
        os._exit(exit_code)


def _answer(decoder: Decoder, limits: DecodeLimits, source: int, sink: int) -> bytes:
    """Decode and put the outcome into words."""
    from medasr.audio import AudioLimits  # not above: the daemon imports this module too, and needs no libsndfile

    audio_limits = AudioLimits(max_seconds=limits.max_seconds, accept_truncated=limits.accept_truncated)
    try:
        _set_clock(limits.seconds_for(decoder.inspect(source).seconds or limits.max_seconds))
        return _message(facts=asdict(decoder.normalize(source, sink, audio_limits)))
    except RecordingError as error:
        return _refusal(error.reason, str(error))
    except OSError as error:
        return _answer_to_os_error(error)
    except _FAULTS as error:
        return _refusal(Reason.DECODER_CRASHED, f"the decoder stopped with {_where(error)}")


def _answer_to_os_error(error: OSError) -> bytes:
    if error.errno == errno.ENOMEM:
        raise MemoryError from error
    if error.errno == errno.EFBIG:
        return _refusal(Reason.TOO_LONG, "decodes to more than its length allows")
    if error.errno in _DISK_TROUBLE:
        return _message(transient=f"the decoded samples could not be written: {error.strerror}")
    return _refusal(Reason.DECODER_CRASHED, f"the decoder stopped with {_where(error)}: {error.strerror}")


def _where(error: Exception) -> str:
    """The kind of an error and its place in the program; never its message, which may quote the recording."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"


def _confine(limits: DecodeLimits, server: int) -> None:
    """Take from this process what decoding does not need."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != server:  # it died before the line above
        os._exit(1)
    for output in (1, 2):
        _silence(output)  # mpg123 prints what it finds in hostile bytes
    sink_bytes = math.ceil(limits.max_seconds + 1) * 16_000 * 4
    for limit, value in (
        (resource.RLIMIT_AS, _address_space() + limits.memory_bytes),
        (resource.RLIMIT_FSIZE, sink_bytes),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),  # a core dump would hold the patient's voice
    ):
        resource.setrlimit(limit, (value, value))
    ceiling = math.ceil(limits.seconds_ceiling)
    resource.setrlimit(resource.RLIMIT_CPU, (ceiling + 1, ceiling + 5))  # at the first SIGXCPU, at the second SIGKILL
    _set_clock(limits.seconds_floor)


def _set_clock(seconds: float) -> None:
    """Let the kernel end this process: the default action of SIGALRM needs no interpreter, so it works inside C code too."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _address_space() -> int:
    """Bytes of address space that this process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _silence(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def _refusal(reason: Reason, message: str) -> bytes:
    return _message(reason=reason.value, message=message)


def _message(**fields: object) -> bytes:
    return json.dumps(fields, allow_nan=False).encode()


if __name__ == "__main__":
    main()
