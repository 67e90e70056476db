"""Another version under a running service: the thread that owns the model changes it, and goes back if it cannot be loaded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from daemon.engine.options import engine_options
from daemon.registry.registry import BY_GATE, FORCED, LOAD_FAILED, Registry
from daemon.registry.serving import model_name
from daemon.store import models, verdicts
from daemon.store.affected import affected
from medasr.errors import MedasrError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.engine.host import EngineHost
    from daemon.engine.protocol import EngineOptions
    from daemon.store.connection import Store

logger = logging.getLogger(__name__)

#: After so many children that died or hung while they loaded a promoted version, the one before serves again.
LOAD_ATTEMPTS = 3


class Swap:
    """Follows what the registry says serves. :meth:`request` may come from any thread, all else from the one that owns the engine."""

    def __init__(
        self, config: Config, store: Store, engine: EngineHost, *, now: Callable[[], datetime], wake: Callable[[], None]
    ) -> None:
        """Given the parts of a service, its clock, and what wakes the thread that owns the engine."""
        self._config = config
        self._engine = engine
        self._wake = wake
        self._requested = threading.Event()
        self._promoted = False  # and its weights were not loaded yet
        self._lost_before = 0  # children, when it was promoted
        self.registry = Registry(config=config, store=store, now=now, on_change=self.request)

    @property
    def version(self) -> str:
        """What is loaded, or will be for the next recording: a version, or the base where it has no adapter."""
        return model_name(self._config, self._engine.options.model)

    def begin(self) -> None:
        """At a daemon's start: what was promoted and has transcribed nothing since may be what ended the last daemon, or be new."""
        with self.registry.store.read() as session:
            changes = verdicts.serving_changes(session)
            last = changes[-1] if changes else None
            if last is None or last.rolled_back or last.reason not in (BY_GATE, FORCED) or last.version != self.version:
                return
            row = models.find_adapter(session, last.version)
            written = affected(session, row.base_id, row.adapter_sha256, limit=1)
            self._promoted = not written or written[0].created_at < last.at

    def request(self) -> None:
        """Another version is to serve."""
        self._requested.set()
        self._wake()

    def turn(self) -> None:
        """Hand everything in flight to the version that serves now, if that is another one; nothing waits for it to load."""
        self.look_after_loading()
        if not self._requested.is_set():
            return
        self._requested.clear()
        try:
            options = self._options()
        except MedasrError:
            logger.exception("the promoted version cannot be served")
            return
        if options != self._engine.options:
            self._promoted, self._lost_before = True, self._engine.restarts
            self._engine.reload(options)
            logger.info("another version serves", extra={"version": self.version})

    def go_back(self) -> bool:
        """The weights could not be loaded: serve what served before the promotion. False where they were not promoted just now.

        Raise FatalError where nothing can serve instead.
        """
        promoted, self._promoted = self._promoted, False
        if not promoted:
            return False
        logger.error("the promoted version cannot be loaded; the one before serves again")
        self.registry.rollback(actor="daemon", reason=LOAD_FAILED)
        self._engine.reload(self._options())
        return True

    def _options(self) -> EngineOptions:
        """What the model child is told now; lists of terms stay those that the daemon read at its start."""
        return replace(engine_options(self._config), term_lists=self._engine.options.term_lists)

    def look_after_loading(self) -> None:
        """Give a promoted version up whose loading kills the process that holds the weights, again and again."""
        if self._engine.ready is not None:
            self._promoted = False
        elif self._promoted and self._engine.restarts - self._lost_before >= LOAD_ATTEMPTS:
            try:
                self.go_back()
            except MedasrError:
                logger.exception("the version before cannot serve either")
