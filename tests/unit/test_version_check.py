"""What the doctor says about the version that serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config import Config
from daemon.finding import Finding
from daemon.registry import settling
from daemon.registry.examination import check_version
from daemon.registry.registry import Registry
from daemon.store import migration
from daemon.store.connection import Store
from tests.conftest import write_config
from tests.support.adapters import enter, make_files
from tests.support.stores import NOW


@pytest.fixture
def config(home: Path) -> Config:
    return write_config(home, paths={"models": home / "models"})


@pytest.fixture
def registry(config: Config) -> Iterator[Registry]:
    migration.upgrade(config.paths.database, config.paths.backups)
    store = Store(config.paths.database, writable=True)
    yield Registry(config=config, store=store, now=lambda: NOW)
    store.close()


@pytest.fixture
def version(registry: Registry, tmp_path: Path) -> str:
    name = enter(registry, make_files(tmp_path / "adapter", context=10.0))
    registry.promote(name, actor="ann", force=True, reason="a test")
    return name


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_whole_one_is_named_with_its_windows(config: Config, version: str) -> None:
    found = only(check_version(config))
    assert (found.level, found.text) == ("ok", f"{version}, variable audio context, all files as installed")


def test_a_pinned_one_is_said_to_be(config: Config, registry: Registry, version: str) -> None:
    registry.pin(actor="ann")
    assert only(check_version(config)).text.endswith("; pinned")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "README.md"])
def test_an_altered_one_is_a_problem(config: Config, version: str, name: str) -> None:
    (config.paths.adapters / version / name).write_text("something else")
    found = only(check_version(config))
    assert (found.level, "was altered" in found.text) == ("problem", True)


def test_one_whose_manifest_is_gone_is_a_problem_with_the_way_back(config: Config, version: str) -> None:
    (config.paths.adapters / version / "medasr.json").unlink()
    found = only(check_version(config))
    assert (found.level, "medasrd models rollback" in found.text) == ("problem", True)


def test_one_of_the_users_own_without_a_manifest_is_not_checked(home: Path, tmp_path: Path) -> None:
    folder = make_files(tmp_path / "own")
    (folder / "medasr.json").unlink()
    found = only(check_version(write_config(home, model={"adapter": str(folder)})))
    assert (found.level, "without a manifest" in found.text) == ("ok", True)


def test_a_newer_one_that_comes_with_the_program_is_mentioned_and_not_used(
    config: Config, registry: Registry, version: str, tmp_path: Path
) -> None:
    make_files(tmp_path / "embedded" / "whisper-tiny.en", "newer")
    serves, comes = check_version(config, embedded=tmp_path / "embedded")
    assert version in serves.text
    assert "which does not serve" in comes.text
    assert "medasrd models import" in comes.remedy
    assert settling.settle(registry, embedded=tmp_path / "embedded") is None


def test_the_embedded_one_that_serves_is_mentioned_once(config: Config, registry: Registry, tmp_path: Path) -> None:
    make_files(tmp_path / "embedded" / "whisper-tiny.en", "ours")
    name = settling.settle(registry, embedded=tmp_path / "embedded")
    assert name is not None
    assert name in only(check_version(config, embedded=tmp_path / "embedded")).text


def test_stock_weights_need_no_word(config: Config) -> None:
    assert not list(check_version(config, embedded=config.paths.state / "none"))
