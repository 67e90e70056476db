"""One running model child as its host sees it: two pipes that never block, and a signal that always ends it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.engine.protocol import EngineOptions, FrameReader, Reply, Request, Stop, decode_reply, encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READ_BYTES = 2**20
_KILL_SECONDS = 5.0

#: Where the packages lie. The child finds them there and not in the folder the daemon was started in, which may be anybody's.
_IMPORT_ROOT = Path(__file__).resolve().parents[2]


#: OpenMP's threads wait by spinning unless told otherwise; on a machine that does anything else beside, two of them spinning for
#: each other's core made a transcription take 85 s instead of 19.
#: oneDNN keeps a program of half a megabyte for every shape that it has met, a thousand of them unless told otherwise.
#: What numpy multiplies belongs to a batch, and each of the batches that are decoded side by side has a core already.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "OPENBLAS_NUM_THREADS": "1",
}

#: From so many bytes on memory goes back to the system as soon as it is free.
_GIVEN_BACK_BYTES = 8 * 2**20

#: Left to itself glibc keeps what is below 32 MiB once it has seen such a size freed, in pieces between what lives on: 700 MB after two
#: batches of whisper-base; and each thread that decodes a batch has a heap of its own: 800 MB more. Pages of 2 MiB make up for much of
#: what it costs to ask the system oftener.
MEMORY = {
    "GLIBC_TUNABLES": f"glibc.malloc.mmap_threshold={_GIVEN_BACK_BYTES}"
    f":glibc.malloc.trim_threshold={2 * _GIVEN_BACK_BYTES}:glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"
}


class EngineProcess:
    """A model child from start to end; its pipes are registered with the selector given while it lives."""

    def __init__(self, command: Sequence[str], options: EngineOptions, selector: selectors.BaseSelector) -> None:
        """Start the command and hand it its options; raise OSError when it cannot be started."""
        paths = [str(_IMPORT_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Libraries quote what they choke on there: nobody may ever read it.
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,
            env=ENVIRONMENT | MEMORY | os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe is not None]
        self._stdin, self._stdout = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self._stdin, self._stdout):
            os.set_blocking(descriptor, False)
        self._selector = selector
        selector.register(self._stdout, selectors.EVENT_READ)
        self._frames = FrameReader()
        self._outgoing = bytearray()
        self.ended = False  #: nothing more will come from it
        self.send(options)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, request: Request) -> None:
        """Queue a request; what the pipe does not take now goes with a later :meth:`flush`."""
        self._outgoing += encode_request(request)
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes, and ask the selector to wake us when it takes more."""
        try:
            while self._outgoing:
                del self._outgoing[: os.write(self._stdin, self._outgoing)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._outgoing.clear()  # it is dying: its end shows on the other pipe
        waiting = self._stdin in self._selector.get_map()
        if self._outgoing and not waiting:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
        elif waiting and not self._outgoing:
            self._selector.unregister(self._stdin)

    def receive(self) -> Iterator[Reply]:
        """Everything it has said since last time; raise EngineError at bytes that are no message."""
        while not self.ended:
            try:
                data = os.read(self._stdout, _READ_BYTES)
            except BlockingIOError:
                return
            self.ended = not data
            for body in self._frames.feed(data):
                yield decode_reply(body)

    def end(self, grace_seconds: float = 0.0) -> int | None:
        """End it, asking first when there is grace, and release everything.

        Return the status with which it ended by itself (minus the signal), or None when it had to be killed.
        """
        status = None
        if grace_seconds > 0:
            self.send(Stop())
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._process.wait(grace_seconds)
        self._process.kill()
        # A process stuck in a driver takes no signal: it is left behind, and collected when it ends after all.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_SECONDS)
        for pipe in self._pipes:
            if pipe.fileno() in self._selector.get_map():
                self._selector.unregister(pipe.fileno())
            pipe.close()
        return status
