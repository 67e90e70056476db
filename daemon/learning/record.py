"""How a learning run is told to the database, which only one process writes: through the daemon where one runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from daemon import control, home
from medasr.errors import FatalError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.store.connection import Store
    from daemon.store.learning import LearningRun

#: What the control socket calls it.
BEGIN_VERB = "learning-begin"
NOTE_VERB = "learning-note"
#: How long a daemon may take to answer after it has taken the home.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record of one run."""

    config: Config
    number: int

    def read(self) -> LearningRun:
        """The run as it is stored."""
        from daemon.store import learning
        from daemon.store.connection import Store

        store = Store(self.config.paths.database, writable=False)
        try:
            with store.read() as session:
                return learning.find(session, self.number)
        finally:
            store.close()

    def note(self, state: str, **facts: Any) -> None:
        """Tell the run's state; facts are those of :func:`daemon.store.learning.note`. Raise what the store raises."""
        _perform(self.config, NOTE_VERB, {"run": self.number, "state": state, **facts})


def begin_record(config: Config, trigger: str, key: str, slot: datetime | None = None) -> RunRecord:
    """Begin the record of a run, or go on with that of one that was interrupted and has the same key.

    ``slot`` is the moment of the schedule that it serves.
    """
    arguments = {"trigger": trigger, "key": key, "slot": slot.isoformat() if slot else None}
    return RunRecord(config=config, number=int(_perform(config, BEGIN_VERB, arguments)))


def handlers(store: Store) -> dict[str, Callable[[str, str], Any]]:
    """The verbs of the control socket."""

    def handler(verb: str) -> Callable[[str, str], Any]:
        return lambda argument, actor: _do(store, verb, _parsed(argument), actor)

    return {verb: handler(verb) for verb in (BEGIN_VERB, NOTE_VERB)}


def _perform(config: Config, verb: str, arguments: dict[str, Any]) -> Any:
    """Have the daemon write it, or do so; what takes hours does not end because a daemon starts or stops at that moment."""
    return control.call_or(
        config.paths.state,
        verb,
        json.dumps(arguments),
        lambda: _perform_alone(config, verb, arguments),
        patience=PATIENCE_SECONDS,
    )


def _perform_alone(config: Config, verb: str, arguments: dict[str, Any]) -> Any:
    from daemon.store import migration
    from daemon.store.connection import Store

    with home.locked(config.paths.state):
        migration.upgrade(config.paths.database, config.paths.backups)
        store = Store(config.paths.database, writable=True)
        try:
            return _do(store, verb, arguments, control.user_name(os.getuid()))
        finally:
            store.close()


def _do(store: Store, verb: str, arguments: dict[str, Any], actor: str) -> Any:
    from daemon.store import learning
    from daemon.store.learning import LearningState

    now = datetime.now(UTC)
    try:
        with store.write() as session:
            if verb == BEGIN_VERB:
                slot = arguments.pop("slot")
                arguments["slot"] = datetime.fromisoformat(slot) if slot else None
                return learning.begin(session, **arguments, actor=actor, now=now)
            state = LearningState(arguments.pop("state"))
            learning.note(session, arguments.pop("run"), state, **arguments, actor=actor, now=now)
            return None
    except (TypeError, KeyError, ValueError):
        raise FatalError("this is no news of a learning run; are command and daemon the same version?") from None


def _parsed(argument: str) -> dict[str, Any]:
    try:
        arguments = json.loads(argument)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise FatalError("this is no news of a learning run; are command and daemon the same version?")
    return arguments
