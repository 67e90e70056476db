"""Assembly: what happens between the start of the process and the start of its parts."""

from __future__ import annotations

import pytest

from daemon import assembly
from daemon.config import Config


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
