"""Another version under a running service: loaded when it was promoted, and given up for the one before when it cannot be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.config import Config
from daemon.engine.host import EngineHost
from daemon.engine.options import engine_options
from daemon.engine.protocol import Completed, Died, EngineEvent, Progress, Ready
from daemon.learning.loading import require_loadable
from daemon.pulse import Pulse
from daemon.registry.registry import Registry
from daemon.registry.serving import adapter_identity
from daemon.service import Service
from daemon.store import jobs, migration, recordings, transcripts, verdicts
from daemon.store.connection import Store
from daemon.swap import LOAD_ATTEMPTS, Swap
from medasr.errors import EngineError, ModelError, TrainingError
from tests.conftest import write_config
from tests.support.adapters import enter, make_files
from tests.support.stores import MODEL, NOW, copy, later, result
from tests.support.transcribers import Behaviour, Mark, engine_command, write_recording


@pytest.fixture
def config(home: Path) -> Config:
    return write_config(home, paths={"models": home / "models"})


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    migration.upgrade(config.paths.database, config.paths.backups)
    store = Store(config.paths.database, writable=True)
    yield store
    store.close()


@pytest.fixture
def versions(config: Config, store: Store, tmp_path: Path) -> tuple[str, str]:
    registry = Registry(config=config, store=store, now=lambda: NOW)
    names = [enter(registry, make_files(tmp_path / content, content)) for content in ("good", "bad")]
    registry.promote(names[0], actor="ann", force=True, reason="a test")
    return names[0], names[1]


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def engine(config: Config, versions: tuple[str, str]) -> Iterator[EngineHost]:
    """Its child refuses the second version, as if its weights did not fit after all."""
    engine = EngineHost(engine_options(config), engine_command(Behaviour(refuses=versions[1])))
    yield engine
    engine.stop()


@pytest.fixture
def swap(config: Config, store: Store, engine: EngineHost, woken: list[str]) -> Swap:
    return Swap(config, store, engine, now=lambda: NOW, wake=lambda: woken.append("woken"))


def completed(engine: EngineHost) -> set[str]:
    found: set[str] = set()
    while engine.in_flight:
        found |= {event.id for event in engine.poll(0.05) if isinstance(event, Completed)}
    return found


def test_a_promotion_wakes_the_thread_that_owns_the_model_and_waits_for_its_turn(
    swap: Swap, engine: EngineHost, versions: tuple[str, str], woken: list[str]
) -> None:
    swap.registry.rollback(actor="ann")
    assert (woken, swap.version) == (["woken"], versions[0])
    swap.turn()
    assert swap.version == "whisper-tiny.en"


def test_one_that_cannot_be_loaded_gives_way_to_the_one_before_and_nothing_is_lost(
    swap: Swap, store: Store, engine: EngineHost, versions: tuple[str, str], tmp_path: Path
) -> None:
    engine.submit("r1", write_recording(tmp_path / "r1", Mark.LONG))
    engine.poll()
    swap.registry.promote(versions[1], actor="ann", force=True, reason="a test")
    swap.turn()
    assert swap.version == versions[1]
    with pytest.raises(ModelError):
        completed(engine)
    assert swap.go_back()
    assert swap.version == versions[0]
    assert completed(engine) == {"r1"}
    with store.read() as session:
        last = max(verdicts.serving_changes(session), key=lambda change: (change.at, change.rolled_back))
    assert (last.version, last.reason, last.actor) == (versions[0], "LOAD_FAILED", "daemon")
    require_loadable(swap.registry.config, versions[0])
    with pytest.raises(TrainingError, match=f"medasrd models promote {versions[1]}"):
        require_loadable(swap.registry.config, versions[1])


def fatal(config: Config, store: Store, version: str) -> tuple[EngineHost, Swap]:
    """An engine whose process dies whenever it loads a version."""
    engine = EngineHost(engine_options(config), engine_command(Behaviour(dies_of=version)))
    return engine, Swap(config, store, engine, now=lambda: NOW, wake=lambda: None)


def promoted_with_work(config: Config, store: Store, version: str, folder: Path) -> tuple[EngineHost, Swap]:
    """Such an engine with a recording, the version that it dies of just promoted."""
    engine, swap = fatal(config, store, version)
    engine.submit("r1", write_recording(folder / "r1", Mark.SPEECH))
    swap.registry.promote(version, actor="ann", force=True, reason="a test")
    return engine, swap


def changes(store: Store) -> list[tuple[str, str]]:
    with store.read() as session:
        return [(change.version, change.reason) for change in verdicts.serving_changes(session)]


def test_one_whose_loading_kills_the_process_gives_way_too_and_nothing_is_lost(
    config: Config, store: Store, versions: tuple[str, str], tmp_path: Path
) -> None:
    engine, swap = promoted_with_work(config, store, versions[1], tmp_path)
    events: list[EngineEvent] = []
    while engine.in_flight:
        swap.turn()
        events += engine.poll(0.05)
    engine.stop()
    told = [type(event) for event in events if not isinstance(event, Progress)]
    assert told == [*[Died] * LOAD_ATTEMPTS, Ready, Completed]
    assert swap.version == versions[0]
    assert changes(store)[-1] == (versions[0], "LOAD_FAILED")


def test_one_that_is_pinned_meanwhile_stays_and_the_engine_rests(
    config: Config, store: Store, versions: tuple[str, str], tmp_path: Path
) -> None:
    engine, swap = promoted_with_work(config, store, versions[1], tmp_path)
    swap.registry.pin(actor="ann")
    while engine.healthy:
        swap.turn()
        engine.poll(0.05)
    assert (swap.version, engine.in_flight) == (versions[1], {"r1"})
    engine.stop()


class TestAtTheStart:
    def load(self, config: Config, store: Store, engine: EngineHost) -> None:
        """As a daemon does when it starts."""
        parts: dict[str, Any] = {
            "worker": SimpleNamespace(pulse=Pulse()),
            **dict.fromkeys(("intake", "decoder")),
            **{name: threading.Event() for name in ("wake_worker", "wake_intake")},
        }
        service = Service(config=config, store=store, engine=engine, once=True, **parts)
        try:
            service._load_model()
        finally:
            engine.stop()

    def test_what_was_promoted_and_has_transcribed_nothing_gives_way(
        self, config: Config, store: Store, versions: tuple[str, str]
    ) -> None:
        Registry(config=config, store=store, now=lambda: NOW).promote(
            versions[1], actor="ann", force=True, reason="a test"
        )
        engine, swap = fatal(config, store, versions[1])
        assert swap.version == versions[1]
        self.load(config, store, engine)
        assert (swap.version, changes(store)[-1]) == (versions[0], (versions[0], "LOAD_FAILED"))

    def test_what_has_transcribed_before_does_not_since_the_machine_is_to_blame(
        self, config: Config, store: Store, versions: tuple[str, str]
    ) -> None:
        entry, sha256 = copy(), adapter_identity(engine_options(config).model)
        maker = replace(MODEL, base_id="whisper-tiny.en", adapter_sha256=sha256)
        with store.write() as session:
            recordings.receive(session, [entry], now=NOW)
            job = jobs.of_recording(session, entry.id)
            jobs.claim(session, job.id, owner="t", lease=timedelta(hours=1), now=NOW)
            transcripts.complete(session, job.id, entry.id, result("Chest pain.", model=maker), now=later(minutes=1))
        engine, swap = fatal(config, store, versions[0])
        with pytest.raises(EngineError, match="medasrd doctor"):
            self.load(config, store, engine)
        assert (swap.version, changes(store)[-1]) == (versions[0], (versions[0], "FORCED"))


def test_without_a_promotion_there_is_nothing_to_go_back_to(swap: Swap) -> None:
    swap.turn()
    assert not swap.go_back()


def test_a_version_that_was_loaded_once_is_not_given_up_later(
    swap: Swap, engine: EngineHost, versions: tuple[str, str], tmp_path: Path
) -> None:
    swap.registry.rollback(actor="ann")
    swap.turn()
    engine.submit("r1", write_recording(tmp_path / "r1", Mark.SPEECH))
    assert completed(engine) == {"r1"}
    swap.turn()
    assert not swap.go_back()


def test_one_whose_files_are_gone_leaves_the_old_one_at_work(
    swap: Swap, config: Config, versions: tuple[str, str]
) -> None:
    swap.registry.promote(versions[1], actor="ann", force=True, reason="a test")
    (config.paths.adapters / versions[1] / "medasr.json").unlink()
    swap.turn()
    assert swap.version == versions[0]
