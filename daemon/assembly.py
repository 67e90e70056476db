"""From a configuration to the parts of a service, recovered from whatever happened before."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from daemon import home, notify
from daemon.config import Config
from daemon.decode.host import DecodeServer, decode_limits
from daemon.delivery import Places
from daemon.engine.bias import term_lists
from daemon.engine.host import EngineHost
from daemon.engine.options import engine_options
from daemon.evaluation import filing
from daemon.gate import filing as gate_filing
from daemon.intake import spool
from daemon.intake.ignore import InboxRules
from daemon.intake.inbox import InboxWatch
from daemon.intake.late import LateWatch
from daemon.intake.reception import Intake, IntakeOptions
from daemon.intake.stability import StabilityTracker
from daemon.outbox import Folder
from daemon.ports import Decoder, Engine
from daemon.pulse import Pulse
from daemon.registry import settling
from daemon.registry.registry import Registry
from daemon.service import Service, utc_now
from daemon.store import migration
from daemon.store.connection import Store
from daemon.worker import Worker, WorkerOptions
from medasr.lexicon import load_lexicon
from medasr.packs import locate

logger = logging.getLogger(__name__)

#: Start-up time asked of systemd for checking a large database and hashing what a restored one does not know.
RECOVERY_SECONDS = 3600


@contextmanager
def opened(config: Config, *, once: bool = False) -> Iterator[Service]:
    """The service over a home, recovered from whatever happened before, with nothing running yet.

    Raise AlreadyRunning, ConfigurationError, ModelError or StoreError with the remedy.
    """
    os.umask(0o077)
    lists = term_lists(config.bias, config.bias.lists)
    notify.notify(f"EXTEND_TIMEOUT_USEC={RECOVERY_SECONDS * 1_000_000}")
    home.prepare(config)
    with home.locked(config.paths.state), ExitStack() as stack:
        migration.upgrade(config.paths.database, config.paths.backups)
        locate(config.paths.models, config.model.base)
        spool.prepare(config.paths.spool)
        store = Store(config.paths.database, writable=True)
        stack.callback(store.close)
        registry = Registry(config=config, store=store, now=utc_now)
        settling.recover(registry)
        settling.settle(registry)
        wake_worker, wake_intake = threading.Event(), threading.Event()
        decoder = DecodeServer()
        stack.callback(decoder.stop)
        engine = EngineHost(replace(engine_options(config), term_lists=lists))
        stack.callback(engine.stop)
        service = Service(
            config=config,
            store=store,
            intake=make_intake(config, store, wake_intake, wake_worker.set, once=once),
            worker=make_worker(config, store, decoder, engine),
            engine=engine,
            decoder=decoder,
            wake_worker=wake_worker,
            wake_intake=wake_intake,
            once=once,
        )
        filing.store_leftovers(config, store)
        gate_filing.store_leftovers(config, store)
        orphans, interrupted = service.intake.recover(), service.worker.recover()
        logger.info("recovered", extra={"orphans": orphans, "interrupted": interrupted})
        yield service


def make_intake(
    config: Config, store: Store, wake: threading.Event, on_received: Callable[[], None], *, once: bool = False
) -> Intake:
    """The intake of a configuration; ``wake`` is set when something may have come.

    ``once``: nobody will look again, so that an empty file is left behind at once, not after a while.
    """
    options = config.intake
    return Intake(
        store=store,
        options=IntakeOptions(
            inbox=config.paths.inbox,
            spool=config.paths.spool,
            rules=InboxRules(extensions=options.extensions),
            max_bytes=options.max_bytes,
            min_free_bytes=options.min_free_bytes,
            empty_seconds=0.0 if once else options.empty_warning_seconds,
            urgent=tuple(options.urgent.split("/")) if options.urgent else (),
        ),
        tracker=StabilityTracker(options.settle_seconds, time.monotonic),
        watch=InboxWatch(config.paths.inbox, wake, polling=options.polling),
        late=LateWatch(time.monotonic, options.settle_seconds),
        pulse=Pulse(),
        now=utc_now,
        on_received=on_received,
    )


def make_worker(config: Config, store: Store, decoder: Decoder, engine: Engine) -> Worker:
    """The worker of a configuration."""
    limits = decode_limits(config)
    group_readable = config.outbox.group_readable
    return Worker(
        store=store,
        decoder=decoder,
        engine=engine,
        lexicon=load_lexicon(config.lexicon.extra),
        options=WorkerOptions(
            places=Places(
                spool=config.paths.spool,
                outbox=Folder(path=config.paths.outbox, group_readable=group_readable),
                quarantine=Folder(path=config.paths.quarantine, group_readable=group_readable),
            ),
            samples=config.paths.samples,
            max_attempts=config.jobs.max_attempts,
            retry=timedelta(seconds=config.jobs.retry_seconds),
            backlog_seconds=config.engine.backlog_seconds,
            limits=limits,
            quality=config.quality.thresholds(),
            bias=config.bias,
            owner=f"{_boot_id()}:{os.getpid()}",
        ),
        pulse=Pulse(),
        now=utc_now,
    )


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
