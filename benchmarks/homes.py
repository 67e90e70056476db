"""Homes in temporary folders, and the real daemon on them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.options import MODELS, cores
from daemon import control, home
from daemon.config import Config, load_config
from daemon.config_template import render_toml
from daemon.store import migration

#: The console script's own line, with the interpreter that runs the benchmark.
MEDASRD = (sys.executable, "-P", "-c", "from daemon.cli import main; main()")
PATIENCE = 1800.0
#: Files settle sooner than by default: a benchmark writes them at once.
SETTLE_SECONDS = 0.5


@contextmanager
def temporary_home(**sections: dict[str, object]) -> Iterator[Config]:
    """A fresh home with a migrated, empty database; the sections given differ from the defaults."""
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as folder:
        values: dict[str, dict[str, Any]] = {
            "schedule": {"backup": "disable", "check": "disable"},
            **sections,
            "paths": {"models": MODELS},
        }
        path = config_path(Path(folder))
        path.write_text(render_toml(values), encoding="utf-8")
        config = load_config(path)
        config.paths.inbox.mkdir(mode=0o700)
        home.prepare(config)
        migration.upgrade(config.paths.database, config.paths.backups)
        yield config


def serving_home(model: str, *, precision: str = "auto") -> AbstractContextManager[Config]:
    """A home that serves a model as a fresh one does, on all cores, and takes what is dropped without delay."""
    return temporary_home(
        model={"base": model, "threads": cores(), "precision": precision},
        intake={"settle_seconds": SETTLE_SECONDS, "rescan_seconds": SETTLE_SECONDS, "min_free_bytes": 0},
    )


def config_path(folder: Path) -> Path:
    """Where a home in this folder has its configuration."""
    return folder / "config.toml"


def command(config: Config, *arguments: str) -> list[str]:
    """The command line of ``medasrd ARGUMENTS`` on a home."""
    return [*MEDASRD, *arguments, "--config", str(config_path(config.paths.state.parent))]


@contextmanager
def running_daemon(config: Config) -> Iterator[subprocess.Popen[bytes]]:
    """``medasrd run`` with its model loaded; stopped at the end."""
    log = config.paths.state.parent / "daemon.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command(config, "run"), stdout=stream, stderr=stream)
    try:
        wait_until(lambda: engine_state(config) == "ready", process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def engine_state(config: Config) -> str:
    """What the daemon says of its model; empty before it says anything."""
    try:
        return str(control.call(config.paths.state, "status")["daemon"]["engine"])
    except (ConnectionError, FileNotFoundError):
        return ""


def delivered(config: Config) -> tuple[int, str]:
    """How many recordings have reached the outbox, and when the last one did."""
    query = (
        "SELECT count(*), coalesce(max(delivered_at), '') FROM jobs WHERE state <> 'quarantined' AND delivered_at <> ''"
    )
    with closing(sqlite3.connect(f"file:{config.paths.database}?mode=ro", uri=True, timeout=5.0)) as connection:
        count, last = connection.execute(query).fetchone()
    return count, last


def wait_until(
    condition: Callable[[], bool],
    process: subprocess.Popen[bytes],
    log: Path,
    *,
    interval: float = 0.1,
    patience: float = PATIENCE,
) -> None:
    """Look every ``interval`` seconds; raise RuntimeError with the end of the log when the daemon is gone or time is up."""
    deadline = time.monotonic() + patience
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the daemon did not get there:\n" + log.read_text(encoding="utf-8")[-3000:])
        time.sleep(interval)
