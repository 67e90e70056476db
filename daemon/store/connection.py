"""Opening the database: one writer with its pragmas, readers that cannot write, and the checks before either.

SQLite 3.7.0–3.51.2 can corrupt a WAL when two connections write and checkpoint at once; so the daemon holds the only writing
connection, guarded by a lock, and everybody else opens ``mode=ro`` with ``query_only``.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, StaticPool

from daemon.store.states import SCHEMA_REVISION, read_only_uri
from medasr.errors import StoreError, TransientError

#: ``synchronous=FULL`` costs 0.14 ms a commit on a local disk; NORMAL could lose the last commits with the power.
WRITER_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA mmap_size=0",
)
READER_PRAGMAS = ("PRAGMA query_only=ON", "PRAGMA busy_timeout=5000", "PRAGMA trusted_schema=OFF", "PRAGMA mmap_size=0")


class Store:
    """The database, as sessions: :meth:`write` for the one writer, :meth:`read` for everybody."""

    def __init__(self, path: Path, *, writable: bool) -> None:
        """Given the SQLite file of the current revision, open it. Raise StoreError when it is missing, damaged or outdated."""
        self.path = path
        if not path.is_file():
            raise StoreError(
                f"{path} does not exist; `medasrd db upgrade` makes it (the daemon does so when it starts)"
            )
        self._lock = threading.RLock()
        self._writer = writer_engine(path) if writable else None
        self._reader = reader_engine(path)
        try:
            check_revision(self._reader, path)
        except StoreError:
            self.close()
            raise

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction, begun IMMEDIATE, committed at the end or rolled back whole.

        Raise TransientError when the database is locked by another process or the disk is full: nothing was changed, try again.
        """
        if self._writer is None:
            raise StoreError(f"{self.path} was opened for reading")
        with (
            self._lock,
            translated(self.path),
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # BEGIN IMMEDIATE now, not at the first statement
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view for reading."""
        with translated(self.path), Session(self._reader) as session:
            yield session

    def close(self) -> None:
        """Checkpoint what the writer left and close."""
        if self._writer is not None:
            self._writer.dispose()
        self._reader.dispose()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Say what has to be done about an error of SQLite: wait (locked, full) or restore (damaged)."""
    try:
        yield
    except OperationalError as error:
        code = getattr(error.orig, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")):
            raise TransientError(
                f"{path}: {code}; the database is in use elsewhere or its disk is full, trying again"
            ) from None
        if code.startswith("SQLITE_READONLY"):
            raise StoreError(
                f"{path} cannot be written ({code}); give it and its folder to the service's user, and see that its disk is not "
                "mounted read-only"
            ) from None
        raise
    except DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorname", "")
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError(damaged(path)) from None
        raise


def damaged(path: Path) -> str:
    """The message for a database that SQLite calls corrupt."""
    return (
        f"{path} is damaged; stop the daemon, move it away together with its -wal and -shm files, and copy the newest file of "
        f"{path.parent / 'backups'} to its place; recordings in the spool that it does not know are taken in again"
    )


def writer_engine(path: Path) -> Engine:
    """The engine with the one writing connection; its transactions begin IMMEDIATE."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # not from a string, in which a path's ? and % would mean something
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "isolation_level": None},
        hide_parameters=True,  # they are patients' words, and an exception may reach a log
    )
    _on_connect(engine, WRITER_PRAGMAS)

    @event.listens_for(engine, "begin")
    def begin_immediate(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reader_engine(path: Path) -> Engine:
    """An engine whose connections cannot write."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(read_only_uri(path), uri=True),
        poolclass=NullPool,
        hide_parameters=True,
    )
    _on_connect(engine, READER_PRAGMAS)
    return engine


def _on_connect(engine: Engine, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: sqlite3.Connection, record: Any) -> None:
        del record
        for pragma in pragmas:
            connection.execute(pragma)


def check_revision(engine: Engine, path: Path) -> None:
    """Raise StoreError unless the database is at the revision this program expects."""
    with translated(path), engine.connect() as connection:
        found = current_revision(connection)
    if found is None:
        raise StoreError(f"{path} has no tables yet; run `medasrd db upgrade`")
    if found < SCHEMA_REVISION:
        raise StoreError(
            f"{path} is at revision {found}, this program needs {SCHEMA_REVISION}; run `medasrd db upgrade`"
        )
    if found > SCHEMA_REVISION:
        raise StoreError(
            f"{path} is at revision {found}, newer than this program's {SCHEMA_REVISION}; install the newer medasr again, "
            f"or restore an older file from {path.parent / 'backups'}"
        )


def current_revision(connection: Any) -> str | None:
    """The Alembic revision in the database; None before the first migration."""
    tables = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first() if tables else None
    return str(row[0]) if row else None


def damage(path: Path, *, thorough: bool = False) -> list[str]:
    """What SQLite finds wrong with the file: ``quick_check``, or ``integrity_check`` and foreign keys when thorough."""
    try:
        connection = sqlite3.connect(read_only_uri(path), uri=True)
        try:
            pragma = "integrity_check" if thorough else "quick_check"
            problems = [str(row[0]) for row in connection.execute(f"PRAGMA {pragma}") if row[0] != "ok"]
            if thorough:
                problems += [
                    f"foreign key of {row[0]} row {row[1]}" for row in connection.execute("PRAGMA foreign_key_check")
                ]
            return problems
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return [str(error)]
