"""The home of an installation: its folders with their modes, and the lock that makes its daemon the only one."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.lock import is_locked
from daemon.outbox import Folder
from medasr.errors import AlreadyRunning, ConfigurationError

if TYPE_CHECKING:
    from daemon.config import Config

LOCK_NAME = "daemon.lock"


def prepare(config: Config) -> None:
    """Make the folders that are missing. Raise ConfigurationError when one cannot be made or others may look into the state."""
    paths = config.paths
    require_private(paths.state)
    for folder in (paths.state, paths.samples, paths.backups):
        _make(folder, 0o700)
    if not paths.models.is_dir():  # homes may share it: then it is somebody else's, and only read
        _make(paths.models, 0o700)
    for folder in (paths.outbox, paths.quarantine):
        try:
            Folder(path=folder, group_readable=config.outbox.group_readable).prepare()
        except OSError as error:
            if error.errno == errno.EROFS and folder.is_dir():
                continue  # a share that came back read-only: transcription goes on, delivery waits
            raise ConfigurationError(
                f"{folder} cannot be made or given its mode ({error.strerror}); make it for the service's user"
            ) from error


def require_private(state: Path) -> None:
    """Raise ConfigurationError when an existing state folder is open to others: patients' data may have been read already."""
    if state.exists() and (mode := state.stat().st_mode & 0o077):
        raise ConfigurationError(
            f"paths.state = {state} is open to others (mode {state.stat().st_mode & 0o777:o}, {mode:o} too much); check who could "
            f"have read it, then run: chmod 700 {state}"
        )


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the home's lock. Raise AlreadyRunning when another process does."""
    if not state.is_dir():
        raise ConfigurationError(f"{state} does not exist; `medasrd init` makes a home, `medasrd run` its state")
    descriptor = os.open(state / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"a medasrd already works on {state}; stop it first (systemctl stop medasrd), or use another home"
            ) from None
        yield
    finally:
        os.close(descriptor)


def is_held(state: Path) -> bool:
    """Whether a process holds the home's lock."""
    return is_locked(state / LOCK_NAME)


def _make(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
        folder.chmod(mode)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made ({error.strerror}); make it for the service's user"
        ) from error
