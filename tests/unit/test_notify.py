from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import notify


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the socket, once as a path and once in the abstract namespace."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@medasr-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1))
        receiver.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield receiver


def received(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_a_field_reaches_the_manager(manager: socket.socket) -> None:
    notify.notify("WATCHDOG=1")
    assert received(manager) == ["WATCHDOG=1"]


def test_several_fields_travel_in_one_datagram(manager: socket.socket) -> None:
    notify.notify("READY=1", "STATUS=waiting for recordings")
    assert received(manager) == ["READY=1", "STATUS=waiting for recordings"]


def test_a_line_break_in_a_field_cannot_forge_another(manager: socket.socket) -> None:
    notify.notify("STATUS=3 waiting\nWATCHDOG=trigger")
    assert received(manager) == ["STATUS=3 waiting WATCHDOG=trigger"]


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    notify.notify("READY=1")


def test_a_manager_that_is_gone_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        notify.notify("WATCHDOG=1")
    assert caplog.messages == ["the service manager could not be told"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=["not watched", "watched", "watched by pid", "inherited", "zero", "negative", "nonsense"],
)
def test_the_watchdog_interval_comes_from_the_environment(
    environment: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_seconds() == seconds
