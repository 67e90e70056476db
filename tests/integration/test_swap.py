"""Another version under a running service: loaded when it was promoted, and given up for the one before when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.engine.host import EngineHost
from daemon.engine.protocol import Completed, engine_options
from daemon.registry.registry import Registry
from daemon.store import migration, verdicts
from daemon.store.connection import Store
from daemon.swap import Swap
from medasr.errors import ModelError
from tests.conftest import write_config
from tests.support.adapters import enter, make_files
from tests.support.stores import NOW
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
