"""What a new installation gets wrong: each check is one small function that says what it found and how to mend it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from daemon import control
from daemon.finding import Finding
from daemon.registry.examination import check_version
from daemon.tuning.examination import check_setting
from daemon.tuning.machine import available_memory
from medasr.errors import MedasrError

if TYPE_CHECKING:
    from daemon.config import Config

#: Oldest versions that are safe to use, and why.
OLDEST = {
    "torch": ((2, 10), "older ones can be made to run code by a weights file (CVE-2026-24747)"),
    "watchdog": ((7, 1), "older ones take an unreadable folder for an empty one"),
    "transformers": ((5, 10), "older ones lack what loading and decoding use"),
    "bitsandbytes": ((0, 49), "older ones have no 4-bit arithmetic on a CPU"),
    "peft": ((0, 18), "older ones do not load the adapters made here"),
}
#: From here on two connections can no longer damage a write-ahead log by resetting it at once.
SQLITE_WAL_SAFE = (3, 51, 3)
#: Memory for whisper-base and the libraries around it.
LEAST_MEMORY = 3 * 2**30


def examine(config: Config) -> Iterator[Finding]:
    """Given a configuration, yield one finding after the other; slow ones (weights, GPU) come last."""
    yield from check_versions()
    yield from check_folders(config)
    yield from check_mounts(config)
    yield check_disk(config)
    yield check_memory()
    yield check_inotify()
    yield from check_database(config)
    yield check_lexicon(config)
    yield from check_bias(config)
    yield check_daemon(config)
    yield from check_weights(config)
    yield from check_version(config)
    yield from check_processor(config)


def check_versions() -> Iterator[Finding]:
    """Python, the packages with known traps, SQLite and libsndfile."""
    import soundfile

    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(level="ok", subject="python", text=python)
    for package, (oldest, why) in OLDEST.items():
        found = _installed_version(package)
        enough = tuple(int(part) for part in found.split("+")[0].split(".")[:2] if part.isdigit()) >= oldest
        wanted = ".".join(map(str, oldest))
        yield Finding(
            level="ok" if enough else "problem",
            subject=package,
            text=found if enough else f"{found}; {why}",
            remedy="" if enough else f"pip install '{package}>={wanted}'",
        )
    if importlib.util.find_spec("kernels"):
        yield Finding(
            level="problem",
            subject="kernels",
            text="this package makes bitsandbytes ask a model hub when it is imported",
            remedy="pip uninstall kernels",
        )
    safe = sqlite3.sqlite_version_info >= SQLITE_WAL_SAFE
    note = (
        ""
        if safe
        else "; has a known WAL flaw, which one writing connection (ours) does not meet: never write from elsewhere"
    )
    yield Finding(level="ok", subject="sqlite", text=sqlite3.sqlite_version + note)
    yield Finding(level="ok", subject="libsndfile", text=soundfile.__libsndfile_version__)


def _installed_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def check_folders(config: Config) -> Iterator[Finding]:
    """Whether each folder is there, ours to use, and closed to others where it must be."""
    for name in ("inbox", "outbox", "quarantine", "state"):
        folder: Path = getattr(config.paths, name)
        if not folder.is_dir():
            remedy = f"mkdir -p {folder}" if name == "inbox" else "medasrd run makes it; check paths in config.toml"
            if folder.exists():
                remedy = f"move that file away, or correct paths.{name}"
            yield Finding(level="problem", subject=f"paths.{name}", text=f"{folder} is no folder", remedy=remedy)
        elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            remedy = f"chown it to the service's user, or: setfacl -m u:{os.geteuid()}:rwx {folder}"
            if os.statvfs(folder).f_flag & os.ST_RDONLY:
                remedy = "it is mounted read-only: see `dmesg` and the server, then mount it again"
            yield Finding(
                level="problem", subject=f"paths.{name}", text=f"{folder} cannot be read and written", remedy=remedy
            )
        elif name == "state" and folder.stat().st_mode & 0o077:
            yield Finding(
                level="problem",
                subject="paths.state",
                text=f"{folder} is open to others (mode {folder.stat().st_mode & 0o777:o})",
                remedy=f"chmod 700 {folder}",
            )
        else:
            yield Finding(level="ok", subject=f"paths.{name}", text=str(folder))


def check_mounts(config: Config) -> Iterator[Finding]:
    """The inbox may be a share; the database may not."""
    from daemon.intake.mounts import mount_of

    inbox, state = mount_of(config.paths.inbox), mount_of(config.paths.state)
    if inbox is not None and inbox.is_remote:
        text = f"on {inbox.kind}: changes are found by reading it every {config.intake.rescan_seconds:g} s, without inotify"
        yield Finding(level="ok", subject="inbox mount", text=text)
    if state is not None and state.is_remote:
        yield Finding(
            level="problem",
            subject="state mount",
            text=f"{config.paths.state} is on {state.kind}; SQLite's write-ahead log needs a local disk",
            remedy="set paths.state to a folder on a local disk",
        )


def check_disk(config: Config) -> Finding:
    """Whether there is room above the floor at which intake stops."""
    folder = next(parent for parent in (config.paths.state, *config.paths.state.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < config.intake.min_free_bytes:
        remedy = "make room, or lower intake.min_free_bytes"
        return Finding(
            level="problem", subject="disk", text=f"{text}; intake stops below intake.min_free_bytes", remedy=remedy
        )
    return Finding(level="ok", subject="disk", text=text)


def check_memory() -> Finding:
    """Whether the smallest usable model fits."""
    available = available_memory()
    level: Literal["ok", "warning"] = "ok" if available >= LEAST_MEMORY else "warning"
    remedy = "" if level == "ok" else "close other programs, or use a smaller model (whisper-tiny.en)"
    return Finding(level=level, subject="memory", text=f"{available / 2**30:.1f} GiB available", remedy=remedy)


def check_inotify() -> Finding:
    """How many files may appear between two looks before the kernel forgets some; rescans find them anyway."""
    path = Path("/proc/sys/fs/inotify/max_queued_events")
    queue = path.read_text(encoding="ascii").strip() if path.exists() else "unknown"
    return Finding(level="ok", subject="inotify", text=f"queue of {queue}; what it forgets, the next rescan finds")


def check_database(config: Config) -> Iterator[Finding]:
    """Whether the database is there, whole and of this program's revision."""
    from daemon.store.connection import Store, damage

    path = config.paths.database
    if not path.exists():
        yield Finding(level="ok", subject="database", text="none yet; the daemon makes it when it starts")
        return
    if problems := damage(path):
        remedy = f"restore the newest file of {config.paths.backups}"
        yield Finding(level="problem", subject="database", text=f"damaged: {problems[0]}", remedy=remedy)
        return
    try:
        Store(path, writable=False).close()
    except MedasrError as error:
        yield Finding(level="problem", subject="database", text=str(error))
    else:
        yield Finding(level="ok", subject="database", text=f"{path}, {path.stat().st_size / 2**20:.1f} MiB")


def check_lexicon(config: Config) -> Finding:
    """Whether our terms and the user's own CSV files load."""
    from medasr.lexicon import load_lexicon

    try:
        lexicon = load_lexicon(config.lexicon.extra)
    except MedasrError as error:
        return Finding(level="problem", subject="lexicon", text=str(error))
    return Finding(level="ok", subject="lexicon", text=f"{len(lexicon.terms)} terms")


def check_bias(config: Config) -> Iterator[Finding]:
    """Whether the lists of terms can be used; whether they should, only a measurement tells."""
    from medasr.lexicon.term_list import read_term_list

    for folder, file in config.bias.lists.items():
        subject = f"bias.lists.{folder}"
        try:
            terms = read_term_list(file)
        except MedasrError as error:
            yield Finding(level="problem", subject=subject, text=str(error))
        else:
            text = f"{len(terms)} terms; whether they help: `medasrd evaluate --bias {file}` against the same without"
            yield Finding(level="ok", subject=subject, text=text)


def check_daemon(config: Config) -> Finding:
    """Whether the daemon answers."""
    try:
        document = control.call(config.paths.state, "status")
    except OSError:
        return Finding(
            level="warning", subject="daemon", text="none runs here", remedy="medasrd run, or systemctl start medasrd"
        )
    except MedasrError as error:
        return Finding(level="problem", subject="daemon", text=str(error))
    return Finding(level="ok", subject="daemon", text=f"runs with pid {document['daemon']['pid']}")


def check_weights(config: Config) -> Iterator[Finding]:
    """Whether the configured weights are installed, every file is as it was, and the model knows the language."""
    from medasr.packs import locate
    from medasr.whisper.decoding import require_language

    try:
        installed = locate(config.paths.models, config.model.base)
        text = f"{installed.name}, {installed.parameters / 1e6:.0f} M parameters, all files as installed"
        yield Finding(level="ok", subject="model", text=text)
        require_language(installed.path, config.model.language)
    except MedasrError as error:
        yield Finding(level="problem", subject="model", text=str(error))


def check_processor(config: Config) -> Iterator[Finding]:
    """Where and in which precision the model will compute."""
    import torch

    from medasr.whisper.model import choose_device, choose_precision

    try:
        device = choose_device(config.model.device)
        precision = choose_precision(config.model.precision, device)
    except MedasrError as error:
        yield Finding(level="problem", subject="precision", text=str(error))
        return
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        text = f"{properties.name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        yield Finding(level="ok" if free > 2 * 2**30 else "warning", subject="gpu", text=text)
    else:
        text = "none that torch can use; the CPU transcribes"
        remedy = (
            ""
            if not Path("/dev/nvidia0").exists()
            else "this torch has no CUDA: install one that has (docs/install.md)"
        )
        yield Finding(level="warning" if remedy else "ok", subject="gpu", text=text, remedy=remedy)
    yield check_setting(config, precision, device.type)
