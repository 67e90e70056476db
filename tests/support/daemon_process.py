"""The real daemon as a process, driven as an operating system would: started, asked, signalled, killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daemon.cli.jobs import document
from daemon.cli.session import reading
from daemon.config import Config
from daemon.store import jobs as queue
from medasr.errors import StoreError

#: The console script's own line, without needing it to be installed on PATH.
MEDASRD = (sys.executable, "-c", "from daemon.cli import main; main()")
#: A scan takes 9 s of processor time, 6 of them to import torch, transformers and peft. At a low priority beside other work a process may
#: get a thirtieth of a core, which makes that four and a half minutes. What hangs is ended by a test's own time limit.
PATIENCE = 900.0


def medasrd(
    *arguments: object, config: Config | Path, check: bool = True, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed."""
    path = config.paths.state.parent / "config.toml" if isinstance(config, Config) else config
    command = [*MEDASRD, *map(str, arguments), "--config", str(path)]
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=patience)


def medasrd_json(*arguments: object, config: Config) -> Any:
    """Run a command with --json and return its value."""
    return json.loads(medasrd(*arguments, "--json", config=config).stdout)


class DaemonProcess:
    """`medasrd run` with a notification socket, as systemd would start it."""

    def __init__(self, config: Config, *, crash_point: str | None = None, command: Sequence[str] = ("run",)) -> None:
        self.config = config
        self._home = config.paths.state.parent
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"\0medasrd-test-{os.getpid()}-{id(self)}"
        self._notifications.bind(address)
        self._notifications.setblocking(False)
        self.notified: list[str] = []
        environment = {**os.environ, "NOTIFY_SOCKET": "@" + address[1:]}
        if crash_point:
            environment["MEDASRD_CRASH_POINT"] = crash_point
        self.log = self._home / "daemon.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*MEDASRD, *command, "--config", str(self._home / "config.toml")],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._notifications.close()

    def until(self, condition: Callable[[], bool], *, what: str, patience: float = PATIENCE) -> None:
        """Wait for a condition; fail with the daemon's log when the daemon ends or patience does."""
        deadline = time.monotonic() + patience
        while not condition():
            self.notifications()  # an unread socket fills up
            ended = self.process.poll()
            assert ended is None, f"the daemon ended ({ended}) before {what}:\n{self.log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, f"not within {patience} s: {what}:\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)

    def until_ready(self) -> None:
        """Wait for READY=1."""
        self.until(lambda: "READY=1" in self.notifications(), what="READY=1")

    def notifications(self) -> list[str]:
        """Everything that was notified so far."""
        while True:
            try:
                self.notified += self._notifications.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.notified

    def until_dead(self, patience: float = PATIENCE) -> int:
        """Wait for the end of the process and return its status."""
        return self.process.wait(patience)

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.until_dead()


def jobs(config: Config) -> list[dict[str, Any]]:
    """All jobs as `medasrd jobs list --json` shows them; none while there is no database yet."""
    try:
        with reading(config) as session:
            return [document(job) for job in queue.listing(session)]
    except StoreError:
        return []


def all_delivered(config: Config, expected: int) -> bool:
    """Whether so many recordings have ended and their files are complete."""
    found = jobs(config)
    return len(found) == expected and all(job["delivered"] for job in found)
