"""Assembly: what happens between the start of the process and the start of its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon import assembly
from daemon.config import Config
from medasr.errors import ConfigurationError
from tests.conftest import write_config


def test_systemd_is_asked_for_patience_before_the_database_is_checked_and_the_spool_is_hashed(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    upgrade = assembly.migration.upgrade
    monkeypatch.setattr(assembly.notify, "notify", order.append)
    monkeypatch.setattr(assembly.migration, "upgrade", lambda *paths: (order.append("upgrade"), upgrade(*paths)))
    monkeypatch.setattr(assembly, "locate", lambda *_: None)
    with assembly.opened(config):
        assert order == ["EXTEND_TIMEOUT_USEC=3600000000", "upgrade"]


def test_a_list_of_terms_that_cannot_be_used_stops_the_start_before_anything_is_touched(home: Path) -> None:
    config = write_config(home, bias={"lists": {"cardiology": "none.txt"}})
    before = sorted(home.rglob("*"))
    with (
        pytest.raises(ConfigurationError, match=r"none\.txt: cannot be read .*; correct its name"),
        assembly.opened(config),
    ):
        pass
    assert sorted(home.rglob("*")) == before
