"""The daemon's control socket: commands reach the one process that may write to the database.

``state/control.sock``, AF_UNIX, mode 0600: only the service's user and root can connect; the kernel tells who did. One JSON object
a line each way: ``{"verb": ..., "argument": ...}`` → ``{"value": ...}`` or ``{"error": ..., "exit_code": ...}``.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medasr.errors import AlreadyRunning, MedasrError, TransientError

logger = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
#: The longest request; a reply may be longer.
_REQUEST_BYTES = 64 * 1024
_REPLY_SECONDS = 30.0
#: How often a daemon is asked that has taken the home and does not answer yet.
LOOK_SECONDS = 0.5
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

#: What a verb does: given its argument and the actor's name, return a JSON value.
Handler = Callable[[str, str], Any]


class ControlServer:
    """Answers commands in a thread of its own."""

    def __init__(self, state: Path, handlers: Mapping[str, Handler]) -> None:
        self._state = state
        self._handlers = handlers
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def start(self) -> None:
        """Begin to listen; a socket that a dead daemon left is replaced, since the caller holds the home's lock."""
        (self._state / SOCKET_NAME).unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            with _short_path(self._state) as path:
                self._socket.bind(path)
        finally:
            os.umask(before)
        self._socket.listen(8)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        (self._state / SOCKET_NAME).unlink(missing_ok=True)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(_REPLY_SECONDS)
                try:
                    connection.sendall(json.dumps(self._answer(connection), default=str).encode() + b"\n")
                except OSError:
                    logger.info("a command hung up before its answer")

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        try:
            request = json.loads(_read_line(connection, _REQUEST_BYTES))
            handler = self._handlers[request["verb"]]
            argument = str(request.get("argument", ""))
        except (ValueError, KeyError, TypeError, RecursionError):
            return {
                "error": "this is not a request that the daemon knows; are command and daemon the same version?",
                "exit_code": 1,
            }
        try:
            return {"value": handler(argument, peer_name(connection))}
        except MedasrError as error:
            return {"error": str(error), "exit_code": error.exit_code}
        except OSError as error:
            code = errno.errorcode.get(error.errno or 0, "unknown")
            return {"error": f"the daemon met {code}; `medasrd doctor` looks for the cause", "exit_code": 75}
        except Exception as error:  # whatever one command does, the next one is to be answered
            logger.error("unexpected error", extra={"error": type(error).__name__}, exc_info=True)
            return {"error": f"the daemon met a {type(error).__name__}; its log says where", "exit_code": 1}


class Refused(MedasrError):  # noqa: N818 - reads as the state it reports
    """The daemon said no; carries its message and exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def call(state: Path, verb: str, argument: str = "") -> Any:
    """Ask the daemon of this state folder, and return its answer.

    Raise ConnectionError when none runs, Refused when it says no, TransientError when it says nothing, and PermissionError when
    the state belongs to another user.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_REPLY_SECONDS)
        try:
            with _short_path(state) as path:
                connection.connect(path)
        except FileNotFoundError:
            raise ConnectionError("no daemon runs here") from None
        try:
            connection.sendall(json.dumps({"verb": verb, "argument": argument}).encode() + b"\n")
            reply = json.loads(_read_line(connection, 2**26))
        except (TimeoutError, ConnectionError) as error:
            raise TransientError(
                f"the daemon did not answer ({error}); it is starting, ending or stuck: try again, then see its log"
            ) from None
    if "error" in reply:
        raise Refused(reply["error"], int(reply["exit_code"]))
    return reply["value"]


def call_or(state: Path, verb: str, argument: str, alone: Callable[[], Any], *, patience: float) -> Any:
    """Have the daemon of this state folder do something, or do it ``alone`` where none runs; return what it gives.

    A daemon that is just starting or ending holds the home and does not answer: it is waited for, ``patience`` seconds at most. Raise
    what :func:`call` and ``alone`` raise; AlreadyRunning when patience is over.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return call(state, verb, argument)
        except ConnectionError:
            try:
                return alone()
            except AlreadyRunning:
                if time.monotonic() >= deadline:
                    raise
        time.sleep(LOOK_SECONDS)


def peer_name(connection: socket.socket) -> str:
    """The name of the user at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return user_name(user)


def user_name(user: int) -> str:
    """A user's login name, or its number where there is none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"


def _read_line(connection: socket.socket, limit: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = connection.recv(65536)
        if not piece or len(line) + len(piece) > limit:
            raise ConnectionError("the other side hung up in the middle of a message")
        line += piece
    return bytes(line)


@contextmanager
def _short_path(state: Path) -> Iterator[str]:
    """A path of the socket below 108 bytes, however deep the home lies: through the descriptor of its folder."""
    folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    finally:
        os.close(folder)
