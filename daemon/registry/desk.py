"""How a command or the learning cycle reaches the registry: through the daemon where one runs, by itself where none does.

Every act goes through the one process that may write: its arguments travel as JSON over the control socket.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon import control, home
from daemon.registry import shelf
from daemon.registry.serving import find_version
from medasr.errors import ConfigurationError, FatalError, MedasrError, StoreError, TransientError
from medasr.packs import canonical_name, installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.config import Config
    from daemon.registry.registry import Registry

#: What the control socket calls an act: this and the act's name.
VERB = "models-"

#: The acts, with the arguments that each takes and their types.
ACTS: dict[str, dict[str, type]] = {
    "register": {"name": str, "base_id": str, "origin": str},
    "promote": {"name": str, "force": bool, "reason": str, "trigger": str},
    "rollback": {},
    "pin": {},
    "unpin": {},
    "remove": {"name": str},
    "prune": {"keep": int},
    "redo": {"name": str},
    "exported": {"name": str, "way": str},
}

#: How long a daemon may take to answer after it has taken the home.
PATIENCE_SECONDS = 30.0

_ERRORS: dict[int, type[MedasrError]] = {
    TransientError.exit_code: TransientError,
    StoreError.exit_code: StoreError,
    ConfigurationError.exit_code: ConfigurationError,
}


def install(config: Config, folder: Path, origin: str, *, base: str = "") -> str:
    """Put an adapter on the shelf, enter it, and return its version's name; ``origin`` is trained or imported.

    ``base`` is the base that an adapter without a manifest belongs to, by default ``model.base``. Raise ModelError when the adapter is
    incomplete, altered, unsafe, or does not fit its base: nothing is left of it then.
    """
    from medasr.whisper.fit import require_fit

    home.prepare(config)
    adapters = config.paths.adapters
    preferred = canonical_name(base or config.model.base)

    def known(name: str) -> dict[str, Any] | None:
        version = find_version(config.paths.database, name)
        return version.manifest if version and not version.removed else None

    bases = installed(config.paths.models)
    with shelf.locked(adapters):
        placed = shelf.place(adapters, folder, bases, preferred=preferred, fits=require_fit, known=known)
        # A daemon that starts waits for the shelf: whoever holds that must not wait for the daemon.
        return _perform(config, "register", {"name": placed.name, "base_id": placed.base_id, "origin": origin}, 0.0)


def promote(config: Config, name: str, *, force: bool = False, reason: str = "", trigger: str = "manual") -> str:
    """Have a version serve from now on; see :meth:`daemon.registry.registry.Registry.promote`."""
    return perform(config, "promote", name=name, force=force, reason=reason, trigger=trigger)


def perform(config: Config, act: str, **arguments: Any) -> str:
    """Have an act of :data:`ACTS` done, and return what was done, in words; a daemon that is just starting is waited for.

    Raise what the registry raises, AlreadyRunning when a daemon holds the home and does not answer.
    """
    return _perform(config, act, arguments, PATIENCE_SECONDS)


def handlers(registry: Registry) -> dict[str, Callable[[str, str], str]]:
    """The verbs of the control socket: each takes the arguments as JSON, and the name of the user at the other end."""

    def handler(act: str) -> Callable[[str, str], str]:
        return lambda argument, actor: _do(registry, act, _parsed(argument), actor)

    return {VERB + act: handler(act) for act in ACTS}


@contextmanager
def alone(config: Config) -> Iterator[Registry]:
    """The registry of a home in which no daemon runs, held against one that might start. Raise AlreadyRunning when one does.

    As at a daemon's start, the embedded adapter of a new home is made to serve first: it is what is replaced.
    """
    from daemon.registry.registry import Registry
    from daemon.registry.settling import settle
    from daemon.store import migration
    from daemon.store.connection import Store

    with home.locked(config.paths.state):
        migration.upgrade(config.paths.database, config.paths.backups)
        store = Store(config.paths.database, writable=True)
        try:
            registry = Registry(config=config, store=store, now=lambda: datetime.now(UTC))
            settle(registry, actor=control.user_name(os.getuid()))
            yield registry
        finally:
            store.close()


def _perform(config: Config, act: str, arguments: dict[str, Any], patience: float) -> str:
    def by_itself() -> str:
        with alone(config) as registry:
            return _do(registry, act, arguments, control.user_name(os.getuid()))

    try:
        return str(control.call_or(config.paths.state, VERB + act, json.dumps(arguments), by_itself, patience=patience))
    except control.Refused as error:  # the same errors, whoever does it
        raise _ERRORS.get(error.exit_code, FatalError)(str(error)) from None


def _do(registry: Registry, act: str, arguments: dict[str, Any], actor: str) -> str:
    types = ACTS[act]
    if arguments.keys() != types.keys() or not all(isinstance(arguments[key], types[key]) for key in types):
        raise FatalError(f"the registry does not know this way to {act}; are command and daemon the same version?")
    return str(getattr(registry, act)(**arguments, actor=actor))


def _parsed(argument: str) -> dict[str, Any]:
    try:
        arguments = json.loads(argument or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise FatalError("this is no request to the registry; are command and daemon the same version?")
    return arguments
