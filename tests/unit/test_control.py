"""Commands reach the daemon through a socket: whoever asks gets an answer, and nothing that is sent brings it down."""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import control
from daemon.control import SOCKET_NAME, ControlServer, Refused, call, peer_name, user_name
from medasr.errors import StoreError, TransientError

Handlers = dict[str, Callable[[str, str], Any]]


def echo(argument: str, actor: str) -> Any:
    return {"argument": argument, "actor": actor}


def refuse(argument: str, actor: str) -> Any:
    raise StoreError(f"no {argument}")


def meet_a_full_disk(argument: str, actor: str) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device", "visit-of-mrs-smith.wav")


def err(argument: str, actor: str) -> Any:
    raise UnicodeEncodeError("utf-8", argument, 0, 1, "nobody expected this of Mrs Smith")


HANDLERS: Handlers = {
    "echo": echo,
    "refuse": refuse,
    "disk": meet_a_full_disk,
    "err": err,
    "large": lambda *_: "ä" * 500_000,
}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder whose path is far longer than the 107 bytes that an address of a socket may have."""
    folder = tmp_path / ("long" * 40) / "state"
    folder.mkdir(parents=True, mode=0o700)
    return folder


@pytest.fixture
def server(state: Path) -> Iterator[ControlServer]:
    started = ControlServer(state, HANDLERS)
    started.start()
    yield started
    started.stop()


def connect(state: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(30)
    with control._short_path(state) as path:
        connection.connect(path)
    return connection


def exchange(state: Path, request: bytes) -> dict[str, Any]:
    with connect(state) as connection:
        connection.sendall(request)
        return dict(json.loads(control._read_line(connection, 2**20)))


@pytest.mark.usefixtures("server")
class TestAsking:
    def test_a_verb_is_done_for_the_user_whom_the_kernel_knows(self, state: Path) -> None:
        assert call(state, "echo", "4f") == {"argument": "4f", "actor": pwd.getpwuid(os.getuid()).pw_name}

    def test_the_argument_may_hold_anything(self, state: Path) -> None:
        assert call(state, "echo", "a\nb\0\x1b[31m'ä")["argument"] == "a\nb\0\x1b[31m'ä"

    def test_a_long_answer_arrives_whole(self, state: Path) -> None:
        assert call(state, "large") == "ä" * 500_000

    def test_a_refusal_keeps_its_message_and_exit_code(self, state: Path) -> None:
        with pytest.raises(Refused, match="no database") as caught:
            call(state, "refuse", "database")
        assert caught.value.exit_code == StoreError.exit_code

    def test_an_unknown_verb_is_answered(self, state: Path) -> None:
        with pytest.raises(Refused, match="same version"):
            call(state, "explode")

    def test_trouble_with_the_disk_is_answered_without_a_file_s_name(self, state: Path) -> None:
        with pytest.raises(Refused, match="ENOSPC") as caught:
            call(state, "disk")
        assert caught.value.exit_code == TransientError.exit_code
        assert "smith" not in str(caught.value)

    def test_an_error_nobody_expected_is_answered_and_so_is_the_next_command(self, state: Path) -> None:
        with pytest.raises(Refused, match="UnicodeEncodeError") as caught:
            call(state, "err", "\udce9")
        assert caught.value.exit_code == 1
        assert "Smith" not in str(caught.value)
        assert call(state, "echo", "still here")["argument"] == "still here"


@pytest.mark.usefixtures("server")
class TestNonsense:
    @pytest.mark.parametrize(
        "request_line",
        [b"\n", b"{}\n", b"[]\n", b'"echo"\n', b'{"verb": []}\n', b"\xff\xfe\n", b"[" * 60_000 + b"\n", b"null\n"],
        ids=["empty", "no verb", "list", "text", "no name", "no text", "deep", "null"],
    )
    def test_what_is_no_request_is_answered_and_the_next_one_served(self, state: Path, request_line: bytes) -> None:
        assert "same version" in exchange(state, request_line)["error"]
        assert call(state, "echo")["argument"] == ""

    def test_one_who_hangs_up_before_asking_is_forgotten(self, state: Path) -> None:
        connect(state).close()
        assert call(state, "echo")["argument"] == ""

    def test_one_who_hangs_up_before_the_answer_is_forgotten(self, state: Path) -> None:
        with connect(state) as connection:
            connection.sendall(b'{"verb": "large"}\n')
        assert call(state, "echo")["argument"] == ""

    def test_one_who_never_ends_a_line_is_cut_off(self, state: Path) -> None:
        with connect(state) as connection, pytest.raises(OSError):
            while True:
                connection.sendall(b"x" * 65536)
        assert call(state, "echo")["argument"] == ""


class TestTheSocket:
    def test_it_is_for_its_owner_alone_whatever_the_umask(self, state: Path) -> None:
        before = os.umask(0)
        try:
            server = ControlServer(state, HANDLERS)
            server.start()
        finally:
            os.umask(before)
        assert stat.S_IMODE((state / SOCKET_NAME).stat().st_mode) == 0o600
        server.stop()

    def test_one_that_a_dead_daemon_left_is_replaced(self, state: Path) -> None:
        dead = socket.socket(socket.AF_UNIX)
        with control._short_path(state) as path:
            dead.bind(path)
        dead.close()
        with pytest.raises(ConnectionError):
            call(state, "echo")
        server = ControlServer(state, HANDLERS)
        server.start()
        assert call(state, "echo", "x")["argument"] == "x"
        server.stop()

    @pytest.mark.usefixtures("server")
    def test_nothing_else_appears_beside_it(self, state: Path) -> None:
        assert [path.name for path in state.iterdir()] == [SOCKET_NAME]

    def test_it_is_gone_after_the_end(self, state: Path) -> None:
        server = ControlServer(state, HANDLERS)
        server.start()
        server.stop()
        assert list(state.iterdir()) == []
        with pytest.raises(ConnectionError):
            call(state, "echo")


class TestWithoutAnAnswer:
    def test_no_daemon_is_a_connection_error(self, state: Path, tmp_path: Path) -> None:
        for folder in (state, tmp_path / "nowhere"):
            with pytest.raises(ConnectionError):
                call(folder, "echo")

    def test_a_daemon_that_says_nothing_is_tried_again_later(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "_REPLY_SECONDS", 0.05)
        with socket.socket(socket.AF_UNIX) as silent:
            with control._short_path(state) as path:
                silent.bind(path)
            silent.listen()
            with pytest.raises(TransientError, match="did not answer"):
                call(state, "echo")

    def test_a_daemon_that_dies_in_the_middle_is_not_taken_for_none(self, state: Path) -> None:
        def die(connection: socket.socket) -> dict[str, Any]:
            raise BrokenPipeError

        server = ControlServer(state, HANDLERS)
        server._answer = die  # type: ignore[method-assign]
        server.start()
        with pytest.raises(TransientError, match="did not answer"):
            call(state, "echo")
        server.stop()


class TestNames:
    def test_the_other_end_of_a_connection_is_known_by_name(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert peer_name(ours) == user_name(os.getuid())

    def test_a_user_without_a_name_is_a_number(self) -> None:
        assert user_name(3_999_999_999) == "uid 3999999999"
