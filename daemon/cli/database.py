"""``medasrd db``: the database itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from daemon.cli.options import config_option, json_option, print_json
from daemon.cli.session import reading, say

if TYPE_CHECKING:
    from daemon.config import Config


@click.group()
def db() -> None:
    """The database: upgrade, check, backup."""


@db.command()
@config_option
def upgrade(config: Config) -> None:
    """Migrate to this program's revision; a backup is made first."""
    from daemon.home import locked, prepare
    from daemon.store import migration
    from daemon.store.states import SCHEMA_REVISION

    prepare(config)
    with locked(config.paths.state):
        before = migration.upgrade(config.paths.database, config.paths.backups)
    if before == SCHEMA_REVISION:
        say(f"{config.paths.database} is at revision {SCHEMA_REVISION} already")
    else:
        say(f"{config.paths.database}: {before or 'new'} -> {SCHEMA_REVISION}")


@db.command()
@config_option
@json_option
def check(config: Config, as_json: bool) -> None:
    """Check the file, its references, the audit chain, and that every recording's bytes are as they came.

    Exit 10 when the database is missing or damaged, 1 when something else is not as it should be.
    """
    from daemon.store.connection import damage
    from medasr.errors import StoreError

    _require_database(config)
    checked, problems = 0, damage(config.paths.database, thorough=True)
    status = StoreError.exit_code if problems else 0
    if not problems:
        checked, problems = _check_content(config)
        status = 1 if problems else 0
    if as_json:
        print_json({"recordings_checked": checked, "problems": problems})
    else:
        say("\n".join(problems) if problems else f"whole: database, audit trail, and the bytes of {checked} recordings")
    sys.exit(status)


def _check_content(config: Config) -> tuple[int, list[str]]:
    """How many recordings were checked, and what is wrong with the audit trail and with them."""
    from daemon.intake import spool
    from daemon.store import audit, recordings
    from medasr.errors import RecordingError

    checked, problems = 0, []
    with reading(config) as session:
        if (line := audit.broken_link(session)) is not None:
            problems.append(f"audit line {line} does not follow from the one before it: lines were changed or removed")
        for recording_id, sha256 in recordings.hashes(session):
            checked += 1
            try:
                spool.verify(config.paths.spool, recording_id, sha256)
            except RecordingError as error:
                problems.append(str(error))
    return checked, problems


def _require_database(config: Config) -> None:
    from medasr.errors import StoreError

    if not config.paths.database.exists():
        raise StoreError(
            f"{config.paths.database} does not exist; `medasrd db upgrade` makes it, or restore a backup of {config.paths.backups}"
        )


@db.command()
@click.option("--to", "target", type=click.Path(file_okay=False), help="Folder for the copy [default: state/backups].")
@config_option
def backup(config: Config, target: str | None) -> None:
    """Copy the database while the daemon runs; print the copy's path."""
    from pathlib import Path

    from daemon.store import migration

    _require_database(config)
    say(str(migration.backup(config.paths.database, Path(target) if target else config.paths.backups)))
