"""How a command reaches the store: through the daemon where one runs, by itself where none does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from daemon import control
from medasr.errors import MedasrError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.config import Config


@contextmanager
def reading(config: Config) -> Iterator[Session]:
    """A session that reads the store of this configuration."""
    from daemon.store.connection import Store

    store = Store(config.paths.database, writable=False)
    try:
        with store.read() as session:
            yield session
    finally:
        store.close()


def operate(config: Config, verb: str, identifier: str) -> str:
    """Given retry, release or cancel and a job or recording, have it done and return what was done, in words."""
    try:
        return str(control.call(config.paths.state, verb, identifier))
    except ConnectionError:
        return _operate_alone(config, verb, identifier)


def operate_each(config: Config, verb: str, identifiers: Iterable[str]) -> None:
    """As :func:`operate`, one after the other, and say each; one that is refused stops none of the others. Exit 1 if any was."""
    refused = False
    for identifier in identifiers:
        try:
            say(operate(config, verb, identifier))
        except MedasrError as error:
            if (
                error.exit_code != MedasrError.exit_code
            ):  # no database, no daemon that answers: the others fare no better
                raise
            refused = True
            click.echo(f"medasrd: {error}", err=True)
    if refused:
        sys.exit(MedasrError.exit_code)


def _operate_alone(config: Config, verb: str, identifier: str) -> str:
    from daemon.home import locked
    from daemon.operations import Operations
    from daemon.outbox import Folder
    from daemon.store.connection import Store

    with locked(config.paths.state):
        store = Store(config.paths.database, writable=True)
        try:
            folder = Folder(path=config.paths.quarantine, group_readable=config.outbox.group_readable)
            operations = Operations(
                store=store, quarantine=folder, now=lambda: datetime.now(UTC), on_cancel=lambda _: None
            )
            return str(getattr(operations, verb)(identifier, actor=control.user_name(os.getuid())))
        finally:
            store.close()


def say(message: str) -> None:
    """One plain line for a person."""
    click.echo(message)


def local(moment: datetime) -> str:
    """A moment as people at this machine read it."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
