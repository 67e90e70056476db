"""Bringing the database to the revision this program expects: a backup first, each migration in one transaction."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

import migrations
from daemon.store.connection import check_revision, current_revision, damage, damaged, translated, writer_engine
from daemon.store.states import SCHEMA_REVISION, read_only_uri
from medasr.errors import StoreError, TransientError


def upgrade(database: Path, backups: Path) -> str | None:
    """Given the database's path and the folder for backups, migrate to :data:`SCHEMA_REVISION`.

    Return the revision it had, or None when it did not exist. Of two processes one migrates and the other waits. Raise
    StoreError when the file is damaged, newer than this program, or a migration fails (it is then rolled back whole).
    """
    private_folder(database.parent)
    with _only_one(database):
        if database.exists() and (problems := damage(database)):
            raise StoreError(f"{damaged(database)} (SQLite says: {problems[0]})")
        database.touch(mode=0o600)
        engine = writer_engine(database)
        try:
            with engine.connect() as connection:
                before = current_revision(connection)
            if before == SCHEMA_REVISION:
                return before
            if before is not None and before > SCHEMA_REVISION:
                check_revision(engine, database)
            if before is not None:
                backup(database, backups, before)
            _migrate(engine, database)
            return before
        finally:
            engine.dispose()


def _migrate(engine: Engine, database: Path) -> None:
    try:
        with translated(database), engine.connect() as connection:
            configuration = alembic_configuration()
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, SCHEMA_REVISION)
    except SQLAlchemyError as error:
        raise StoreError(
            f"{database} could not be migrated to revision {SCHEMA_REVISION} ({error.args[0]}); the step that failed was undone, "
            "nothing is lost; install the medasr that was used before, and report this"
        ) from error


def alembic_configuration() -> AlembicConfig:
    """Alembic's view of ``migrations/``, wherever it is installed."""
    configuration = AlembicConfig()
    configuration.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return configuration


def backup(database: Path, backups: Path, tag: str = "") -> Path:
    """Copy the database with SQLite's backup API, which is safe while it is written to; return the copy, mode 0600.

    Raise TransientError when there is no room, StoreError when the database is damaged; a half copy is removed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = backups / f"medasr-{tag + '-' if tag else ''}{stamp}.db"
    partial = target.with_suffix(".partial")
    try:
        # A folder that is there keeps its mode: it may be any folder that a person named for the copy.
        backups.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with (
            closing(sqlite3.connect(read_only_uri(database), uri=True)) as source,
            closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(target)
    except (sqlite3.OperationalError, OSError) as error:
        raise TransientError(
            f"{backups} could not take a backup of {database}: {error}; make room and run it again"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{damaged(database)} (SQLite says: {error})") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return target


def sweep(backups: Path, now: datetime) -> None:
    """Remove what a copy left behind whose process was killed; one that is younger than a day may still be growing."""
    for partial in backups.glob("medasr-*.partial"):
        with suppress(FileNotFoundError):
            if partial.stat().st_mtime < (now - timedelta(days=1)).timestamp():
                partial.unlink()


def private_folder(folder: Path) -> None:
    """Make a folder, and give it mode 0700 whatever the umask."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


@contextmanager
def _only_one(database: Path) -> Iterator[None]:
    descriptor = os.open(database.parent / "migration.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
