"""What the daemon costs while nothing happens: memory of all its processes, and processor time.

The daemon runs with its defaults, has loaded its model, transcribed a recording and given the model up again. Memory is counted as
proportional set size: what processes share counts once.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass

import psutil

from benchmarks.figures import Line, tell
from benchmarks.homes import engine_state, running_daemon, temporary_home, wait_until
from benchmarks.options import Options, installed
from benchmarks.processes import tree
from benchmarks.speech import SAMPLES

MEMORY_MIB = 200.0
CPU_PERCENT = 1.0


@dataclass(frozen=True, kw_only=True)
class IdleFigures:
    """A daemon at rest."""

    seconds: float
    processes: int
    proportional_bytes: int
    resident_bytes: int
    cpu_seconds: float

    def lines(self) -> list[Line]:
        percent = 100 * self.cpu_seconds / self.seconds
        return [
            Line(what="watched for", value=self.seconds, unit="s"),
            Line(what="processes", value=self.processes),
            Line(what="memory (PSS)", value=self.proportional_bytes / 2**20, unit="MiB", at_most=MEMORY_MIB),
            Line(what="memory (RSS)", value=self.resident_bytes / 2**20, unit="MiB"),
            Line(what="processor time", value=percent, unit="% of a core", at_most=CPU_PERCENT),
        ]


def measure(options: Options) -> IdleFigures:
    model = options.models[0]
    installed(model)
    with temporary_home(model={"base": model}, engine={"idle_unload_seconds": 2.0}) as config:
        log = config.paths.state.parent / "daemon.log"
        with running_daemon(config) as process:
            shutil.copyfile(SAMPLES / "dictation.wav", config.paths.inbox / "dictation.wav")
            wait_until(lambda: any(config.paths.outbox.glob("*.json")), process, log)
            wait_until(lambda: engine_state(config) == "unloaded", process, log)
            seconds = options.pick(60, 10)
            daemon = psutil.Process(process.pid)
            tell(f"idle: watching for {seconds} s")
            time.sleep(2)
            before, began = _cpu_seconds(daemon), time.perf_counter()
            time.sleep(seconds)
            used, took = _cpu_seconds(daemon) - before, time.perf_counter() - began
            memory = [part.memory_full_info() for part in tree(daemon)]
    return IdleFigures(
        seconds=took,
        processes=len(memory),
        proportional_bytes=sum(part.pss for part in memory),
        resident_bytes=sum(part.rss for part in memory),
        cpu_seconds=used,
    )


def _cpu_seconds(daemon: psutil.Process) -> float:
    """Of the processes that live and of those that have ended."""
    return sum(sum(part.cpu_times()[:4]) for part in tree(daemon))
