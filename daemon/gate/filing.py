"""A verdict's way into the database, which only one process writes: as an evaluation's (:mod:`daemon.evaluation.filing`)."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from daemon import control, home
from daemon.store import migration, verdicts
from daemon.store.connection import Store
from daemon.store.verdicts import NewVerdict
from medasr.errors import FatalError
from medasr.whisper.manifest import write_durably

if TYPE_CHECKING:
    from daemon.config import Config

logger = logging.getLogger(__name__)

#: What the control socket calls it.
VERB = "file-verdict"

_VERDICT: TypeAdapter[NewVerdict] = TypeAdapter(NewVerdict)


def file_verdict(config: Config, new: NewVerdict) -> int:
    """Have a verdict stored, once, whatever ends this process; return its number. Raise what the store raises."""
    config.paths.verdicts.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_durably(config.paths.verdicts / f"{new.key}.json", _VERDICT.dump_json(new))
    try:
        return int(control.call(config.paths.state, VERB, new.key))
    except ConnectionError:
        with home.locked(config.paths.state):
            migration.upgrade(config.paths.database, config.paths.backups)
            store = Store(config.paths.database, writable=True)
            try:
                return store_verdict(config, store, new.key, actor=control.user_name(os.getuid()))
            finally:
                store.close()


def store_verdict(config: Config, store: Store, key: str, *, actor: str) -> int:
    """Store a saved verdict and drop its file; for the process that holds the home. Raise FatalError when there is no such verdict."""
    if not re.fullmatch(r"[0-9a-f]{32}", key):
        raise FatalError("this is no verdict's key; are command and daemon the same version?")
    path = config.paths.verdicts / f"{key}.json"
    try:
        new = _VERDICT.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise FatalError("there is no verdict to be stored; run `medasrd gate run` again") from None
    except ValidationError:
        raise FatalError("the verdict was made by another version of medasr; run `medasrd gate run` again") from None
    with store.write() as session:
        number = verdicts.add(session, new, actor=actor)
    path.unlink()
    logger.info("the gate has judged", extra={"version": new.candidate, "code": str(new.verdict.decision)})
    return number


def store_leftovers(config: Config, store: Store) -> int:
    """Store the verdicts that a crash left between judging and storing; return how many."""
    stored = 0
    for path in sorted(config.paths.verdicts.glob("*.json")):
        try:
            store_verdict(config, store, path.stem, actor="daemon")
        except FatalError:
            logger.exception("a verdict cannot be stored")
        else:
            stored += 1
    return stored
