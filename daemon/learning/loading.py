"""Whether what a training came to may serve: the same data and seed give the same bytes again, also those that could not be loaded.

The audit trail says so. Neither the gate nor the check before an installation sees it: they load a version in another process, at
another time.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from daemon.registry.registry import LOAD_FAILED
from daemon.store import verdicts
from daemon.store.connection import Store
from medasr.errors import TrainingError, TrainingFailure

if TYPE_CHECKING:
    from daemon.config import Config


def require_loadable(config: Config, version: str) -> None:
    """Raise TrainingError when a version, given by its name, could not be loaded on this machine when it last was to serve.

    A person may let it serve all the same; if it could be loaded then, this is forgotten.
    """
    with closing(Store(config.paths.database, writable=False)) as store, store.read() as session:
        named = [one for one in verdicts.serving_changes(session) if version in (one.version, one.previous)]
    if named and named[-1].reason == LOAD_FAILED and named[-1].previous == version:
        raise TrainingError(
            f"{version} was to serve on {named[-1].at:%Y-%m-%d} and could not be loaded on this machine, so learning does not promote "
            f"it again; `medasrd doctor` looks for the cause, and once that is mended: medasrd models promote {version}",
            TrainingFailure.LOAD_FAILED,
        )
