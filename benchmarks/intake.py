"""20,000 small files dropped at once: each is taken exactly once, quickly, and memory stays flat.

The intake runs alone in a process of its own, with the real store, the real folders and the real watcher. That process is stopped
while the files arrive, so that the kernel's queue of inotify events overflows: what the watcher does not report, the rescans find.
A second, equal drop shows whether anything is kept of the first.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figures import Line, tell
from benchmarks.homes import config_path, temporary_home
from benchmarks.options import Options
from daemon.assembly import make_intake
from daemon.config import Config, load_config
from daemon.intake import spool
from daemon.store.connection import Store

#: More than a heap that warms up, less than anything that grows with 20,000 recordings.
FLAT_MIB = 16.0
#: What may be remembered of each file while it waits, beyond that.
BYTES_A_FILE = 2048
EVENT_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


@dataclass(frozen=True, kw_only=True)
class Drop:
    """What became of one drop; memory in bytes."""

    seconds: float  #: until the inbox was empty, settling included
    resident_before: int
    resident_peak: int
    resident_after: int


@dataclass(frozen=True, kw_only=True)
class IntakeFigures:
    """Two drops, and what was in store and folders after both."""

    files: int
    event_queue: int  #: inotify events that the kernel keeps
    first: Drop
    second: Drop
    distinct: int  #: recordings by sha256
    arrivals: int
    jobs: int
    copies: int
    left: int  #: in the inbox

    def lines(self) -> list[Line]:
        both = 2 * self.files
        waiting = (self.first.resident_peak - self.first.resident_before) / 2**20
        kept = (self.second.resident_after - self.first.resident_after) / 2**20
        overflow = "overflowed" if self.files > self.event_queue else "did not overflow"
        return [
            Line(what="files dropped at once, twice", value=self.files, unit="files"),
            Line(what=f"inotify's queue, which {overflow}", value=self.event_queue, unit="events"),
            Line(what="recordings missing or taken twice", value=abs(self.distinct - both), at_most=0),
            Line(what="arrivals, jobs, copies beyond one each", value=self._surplus(both), at_most=0),
            Line(what="left in the inbox", value=self.left, at_most=0),
            Line(what="first drop", value=self.files / self.first.seconds, unit="files/s"),
            Line(what="second drop", value=self.files / self.second.seconds, unit="files/s"),
            Line(what="memory before", value=self.first.resident_before / 2**20, unit="MiB"),
            Line(what="more while all wait", value=waiting, unit="MiB", at_most=self._allowed()),
            Line(what="kept of the second drop", value=kept, unit="MiB", at_most=FLAT_MIB),
        ]

    def _allowed(self) -> float:
        return FLAT_MIB + self.files * BYTES_A_FILE / 2**20

    def _surplus(self, expected: int) -> int:
        return sum(abs(count - expected) for count in (self.arrivals, self.jobs, self.copies))


def measure(options: Options) -> IntakeFigures:
    files = options.pick(20_000, 1_000)
    with temporary_home(
        intake={"settle_seconds": 0.5, "rescan_seconds": 0.5, "min_free_bytes": 0}, log={"level": "warning"}
    ) as config:
        home = config.paths.state.parent
        command = [sys.executable, "-m", "benchmarks.intake", str(home), str(files)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                _heard(process)
                drops = [_drop(process, config, files, number) for number in range(2)]
            finally:
                process.kill()
        return IntakeFigures(
            files=files, event_queue=int(EVENT_QUEUE.read_text()), first=drops[0], second=drops[1], **_outcome(config)
        )


def _drop(process: subprocess.Popen[str], config: Config, files: int, number: int) -> Drop:
    """Put files into the inbox while the intake's process is stopped, let it go on, and wait for its figures."""
    tell(f"intake: drop {number + 1} of {files:,} files")
    staged = config.paths.state.parent / f"staged-{number}"
    staged.mkdir()
    for index in range(files):
        (staged / f"visit-{number}-{index:05d}.wav").write_bytes(b"RIFF" + os.urandom(8) + f"{number} {index}".encode())
    process.send_signal(signal.SIGSTOP)
    for path in staged.iterdir():
        path.rename(config.paths.inbox / path.name)
    began = time.monotonic()
    process.send_signal(signal.SIGCONT)
    resident = _heard(process)
    return Drop(seconds=time.monotonic() - began, **resident)


def _heard(process: subprocess.Popen[str]) -> dict[str, int]:
    """The next line of the intake's process."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the intake's process ended early; its message is above")
    heard: dict[str, int] = json.loads(line)
    return heard


def _outcome(config: Config) -> dict[str, int]:
    queries = {
        "distinct": "SELECT count(DISTINCT sha256) FROM recordings",
        "arrivals": "SELECT count(*) FROM arrivals",
        "jobs": "SELECT count(*) FROM jobs",
    }
    with closing(sqlite3.connect(f"file:{config.paths.database}?mode=ro", uri=True)) as connection:
        counts = {name: int(connection.execute(query).fetchone()[0]) for name, query in queries.items()}
    copies = sum(1 for _ in (config.paths.spool / "recordings").iterdir())
    return {**counts, "copies": copies, "left": sum(1 for _ in config.paths.inbox.iterdir())}


def serve(home: Path, files: int) -> None:
    """The intake's process: turn as the daemon does; print a line when ready, and one after each drop."""
    config = load_config(config_path(home))
    spool.prepare(config.paths.spool)
    wake = threading.Event()
    intake = make_intake(config, Store(config.paths.database, writable=True), wake, lambda: None)
    intake.recover()
    intake.turn()
    print("{}", flush=True)
    while True:
        before, taken = _resident(), 0
        _forget_peak()
        while taken < files:
            wake.wait(config.intake.rescan_seconds)
            wake.clear()
            taken += intake.turn()
        memory = {
            "resident_before": before,
            "resident_peak": _resident_peak(),
            "resident_after": _resident(),
        }
        print(json.dumps(memory), flush=True)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def _forget_peak() -> None:
    """See proc_pid_clear_refs(5)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _resident_peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
