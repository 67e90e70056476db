"""The daemon's side of a scheduled task that is a process of its own: it can be ended at any time and goes on later."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.config import Config

EVALUATION = (sys.executable, "-P", "-m", "daemon.evaluation.child")
LEARNING = (sys.executable, "-P", "-m", "daemon.learning.child")

#: The process ended without an answer: the daemon stops, or somebody killed it. It goes on where it was.
INTERRUPTED = "INTERRUPTED"
STORED = "OK"


class TaskProcess:
    """Starts the process and waits for it; :meth:`stop` may come from another thread."""

    def __init__(self, config: Config, command: Sequence[str]) -> None:
        self._config = config
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, slot: datetime) -> str:
        """Do the task for a slot of the schedule, however long it takes.

        Return its outcome (OK where it names none), the class of the error, or INTERRUPTED.
        """
        order = {"config": self._config.model_dump(mode="json"), "slot": slot.isoformat()}
        with self._lock:
            if self._stopped:
                return INTERRUPTED
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries quote there what they choke on
            )
        with self._process as process:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                return INTERRUPTED
            answer = process.stdout.readline()
        if not answer:
            return INTERRUPTED
        said = json.loads(answer)
        return str(said.get("error") or said.get("outcome") or STORED)

    @property
    def stopped(self) -> bool:
        """Whether it was ended for good."""
        return self._stopped

    def stop(self) -> None:
        """End the process, now and for good."""
        with self._lock:
            self._stopped = True
            if self._process and self._process.poll() is None:
                self._process.terminate()
