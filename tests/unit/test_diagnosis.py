"""The doctor: each fault that is planted is found, and its remedy named."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon import control, diagnosis, home
from daemon.config import Config
from daemon.control import ControlServer
from daemon.diagnosis import Finding
from daemon.intake import mounts
from daemon.intake.mounts import Mount
from daemon.registry.examination import check_version
from daemon.store.states import SCHEMA_REVISION
from medasr import packs
from medasr.errors import TransientError
from tests.conftest import write_config
from tests.support.stores import open_store


@pytest.fixture
def healthy(config: Config) -> Config:
    """A home as `medasrd init` leaves it, without weights."""
    home.prepare(config)
    open_store(config.paths.state).close()
    return config


def worst(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level != "ok"]


def only(findings: Iterable[Finding]) -> Finding:
    (found,) = worst(findings)
    return found


class TestVersions:
    def test_those_installed_here_are_recent_enough(self) -> None:
        assert worst(diagnosis.check_versions()) == []

    @pytest.mark.parametrize("package", sorted(diagnosis.OLDEST))
    def test_an_old_one_is_named_with_the_reason_and_the_command(
        self, monkeypatch: pytest.MonkeyPatch, package: str
    ) -> None:
        real = importlib.metadata.version
        monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1" if name == package else real(name))
        found = only(diagnosis.check_versions())
        oldest, why = diagnosis.OLDEST[package]
        assert (found.level, found.subject) == ("problem", package)
        assert why in found.text
        assert found.remedy == f"pip install '{package}>={'.'.join(map(str, oldest))}'"

    def test_a_missing_one_is_a_finding_and_not_the_end_of_the_examination(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = importlib.metadata.version

        def version(name: str) -> str:
            if name == "bitsandbytes":
                raise importlib.metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        found = only(diagnosis.check_versions())
        assert (found.subject, found.text.split(";")[0]) == ("bitsandbytes", "missing")

    @pytest.mark.parametrize("version", ["2.10.0", "2.13.0+cu130", "3.0", "2.10.0rc1"])
    def test_local_and_pre_release_versions_are_understood(self, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
        real = importlib.metadata.version
        monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == "torch" else real(name))
        assert worst(diagnosis.check_versions()) == []

    def test_a_package_that_reaches_for_the_network_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = importlib.util.find_spec
        present = SimpleNamespace(name="kernels")
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: present if name == "kernels" else real(name))
        assert only(diagnosis.check_versions()).remedy == "pip uninstall kernels"


class TestFolders:
    def test_a_prepared_home_is_in_order(self, healthy: Config) -> None:
        assert worst(diagnosis.check_folders(healthy)) == []

    def test_a_missing_inbox_is_named_with_the_command_that_makes_it(self, healthy: Config) -> None:
        healthy.paths.inbox.rmdir()
        found = only(diagnosis.check_folders(healthy))
        assert (found.subject, found.remedy) == ("paths.inbox", f"mkdir -p {healthy.paths.inbox}")

    @pytest.mark.parametrize("name", ["outbox", "quarantine", "state"])
    def test_a_missing_folder_is_named(self, healthy: Config, name: str) -> None:
        shutil.rmtree(getattr(healthy.paths, name))
        assert only(diagnosis.check_folders(healthy)).subject == f"paths.{name}"

    def test_a_folder_that_is_not_ours_is_named(self, healthy: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: path != healthy.paths.inbox and real(path, mode))
        found = only(diagnosis.check_folders(healthy))
        assert found.subject == "paths.inbox"
        assert f"setfacl -m u:{os.geteuid()}:rwx" in found.remedy

    def test_an_open_state_folder_is_named_with_the_command_that_closes_it(self, healthy: Config) -> None:
        healthy.paths.state.chmod(0o755)
        found = only(diagnosis.check_folders(healthy))
        assert "open to others (mode 755)" in found.text
        assert found.remedy == f"chmod 700 {healthy.paths.state}"


class TestMounts:
    def test_a_state_on_a_share_is_a_problem_and_an_inbox_on_one_is_not(
        self, healthy: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mounts, "mount_of", lambda folder: Mount(point=folder, kind="cifs"))
        findings = list(diagnosis.check_mounts(healthy))
        assert [(finding.level, finding.subject) for finding in findings] == [
            ("ok", "inbox mount"),
            ("problem", "state mount"),
        ]
        assert "paths.state" in findings[1].remedy

    def test_local_disks_are_not_worth_a_word(self, healthy: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mounts, "mount_of", lambda folder: Mount(point=folder, kind="ext4"))
        assert list(diagnosis.check_mounts(healthy)) == []


class TestMachine:
    def test_a_full_disk_is_a_problem(self, healthy: Config) -> None:
        config = healthy.model_copy(update={"intake": healthy.intake.model_copy(update={"min_free_bytes": 2**62})})
        found = diagnosis.check_disk(config)
        assert (found.level, "intake.min_free_bytes" in found.text) == ("problem", True)
        assert diagnosis.check_disk(healthy).level == "ok"

    def test_the_disk_of_a_home_that_does_not_exist_yet_is_that_of_the_folder_above(self, config: Config) -> None:
        assert str(config.paths.state.parent) in diagnosis.check_disk(config).text

    def test_little_memory_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(diagnosis, "LEAST_MEMORY", 2**60)
        found = diagnosis.check_memory()
        assert (found.level, "whisper-tiny.en" in found.remedy) == ("warning", True)
        monkeypatch.setattr(diagnosis, "LEAST_MEMORY", 0)
        assert diagnosis.check_memory().level == "ok"

    def test_inotify_never_matters_much(self) -> None:
        assert diagnosis.check_inotify().level == "ok"


class TestDatabase:
    def test_a_whole_one_is_in_order(self, healthy: Config) -> None:
        assert [finding.level for finding in diagnosis.check_database(healthy)] == ["ok"]

    def test_none_yet_is_in_order(self, config: Config) -> None:
        assert [finding.level for finding in diagnosis.check_database(config)] == ["ok"]

    def test_a_damaged_one_is_found_and_the_backups_named(self, healthy: Config) -> None:
        healthy.paths.database.write_bytes(b"no database at all" * 1000)
        found = only(diagnosis.check_database(healthy))
        assert found.text.startswith("damaged: ")
        assert str(healthy.paths.backups) in found.remedy

    def test_one_of_another_revision_is_found(self, healthy: Config) -> None:
        with closing(sqlite3.connect(healthy.paths.database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0000'")
            connection.commit()
        found = only(diagnosis.check_database(healthy))
        assert f"revision 0000, this program needs {SCHEMA_REVISION}; run `medasrd db upgrade`" in found.text


class TestLexicon:
    def test_a_file_of_the_user_that_is_missing_is_named(self, home: Path) -> None:
        config = write_config(home, lexicon={"extra": ["ward.csv"]})
        found = diagnosis.check_lexicon(config)
        assert (found.level, str(home / "ward.csv") in found.text) == ("problem", True)

    def test_ours_loads(self, config: Config) -> None:
        assert diagnosis.check_lexicon(config).level == "ok"


class TestListsOfTerms:
    def test_each_is_counted_with_the_way_to_measure_it(self, home: Path) -> None:
        (home / "heart.txt").write_text("metoprolol\nlisinopril\n")
        (found,) = diagnosis.check_bias(write_config(home, bias={"lists": {"cardiology": "heart.txt"}}))
        assert (found.level, found.subject) == ("ok", "bias.lists.cardiology")
        assert found.text.startswith("2 terms; ")
        assert f"medasrd evaluate --bias {home / 'heart.txt'}" in found.text

    def test_one_that_cannot_be_used_is_a_problem_that_names_the_file(self, home: Path) -> None:
        (home / "empty.txt").touch()
        config = write_config(home, bias={"lists": {"a": "empty.txt", "b": "missing.txt"}})
        for found, name in zip(diagnosis.check_bias(config), ("empty.txt", "missing.txt"), strict=True):
            assert (found.level, str(home / name) in found.text) == ("problem", True)

    def test_none_is_nothing_to_be_told(self, config: Config) -> None:
        assert list(diagnosis.check_bias(config)) == []


def test_a_file_in_the_place_of_the_inbox_is_to_be_moved_away(healthy: Config) -> None:
    healthy.paths.inbox.rmdir()
    healthy.paths.inbox.touch()
    assert only(diagnosis.check_folders(healthy)).remedy == "move that file away, or correct paths.inbox"


class TestDaemon:
    def test_none_is_a_warning(self, healthy: Config) -> None:
        found = diagnosis.check_daemon(healthy)
        assert (found.level, "medasrd run" in found.remedy) == ("warning", True)

    def test_one_that_answers_is_named(self, healthy: Config) -> None:
        server = ControlServer(healthy.paths.state, {"status": lambda *_: {"daemon": {"pid": 4711}}})
        server.start()
        try:
            found = diagnosis.check_daemon(healthy)
        finally:
            server.stop()
        assert (found.level, found.text) == ("ok", "runs with pid 4711")

    def test_one_that_does_not_answer_is_a_problem(self, healthy: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        def stuck(*_: object) -> Any:
            raise TransientError("the daemon did not answer")

        monkeypatch.setattr(control, "call", stuck)
        assert diagnosis.check_daemon(healthy).level == "problem"


class TestModel:
    def test_missing_weights_are_a_problem_that_names_the_command(self, home: Path) -> None:
        config = write_config(home, paths={"models": home / "models"})
        found = only(diagnosis.check_weights(config))
        assert (found.level, "medasrd models pull" in found.text) == ("problem", True)

    def test_a_precision_that_the_processor_lacks_is_a_problem(self, home: Path) -> None:
        config = write_config(home, model={"device": "cpu", "precision": "fp16"})
        found = only(diagnosis.check_processor(config))
        assert (found.subject, "model.precision is fp16" in found.text) == ("precision", True)

    def test_on_a_cpu_the_precision_in_use_is_said(self, config: Config) -> None:
        levels = {finding.subject: finding.text for finding in diagnosis.check_processor(config)}
        assert " on cpu, " in levels["precision"]


class TestWhatTheModelIsAskedFor:
    """Both keep the daemon from starting, so a doctor that finds nothing would mislead."""

    @pytest.fixture
    def english_only(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = home / "english"
        folder.mkdir()
        tokens = {"decoder_start_token_id": 50257, "no_timestamps_token_id": 50362, "eos_token_id": 50256}
        (folder / "generation_config.json").write_text(json.dumps({**tokens, "is_multilingual": False}))
        installed = SimpleNamespace(path=folder, name="whisper-tiny.en", parameters=37_800_000)
        monkeypatch.setattr(packs, "locate", lambda *_: installed)
        return home

    def test_a_language_that_the_model_does_not_know_is_a_problem(self, english_only: Path) -> None:
        found = only(diagnosis.check_weights(write_config(english_only, model={"language": "de"})))
        assert (found.subject, "set model.language to en" in found.text) == ("model", True)

    def test_one_that_it_knows_is_fine(self, english_only: Path) -> None:
        assert not worst(diagnosis.check_weights(write_config(english_only, model={"language": "en"})))

    def test_an_adapter_that_is_not_there_is_a_problem(self, home: Path) -> None:
        found = only(check_version(write_config(home, model={"adapter": str(home / "none")})))
        assert (found.text, "model.adapter" in found.remedy) == (
            f"{home}/none holds no adapter_model.safetensors",
            True,
        )

    def test_without_an_adapter_nothing_is_said(self, config: Config) -> None:
        assert not list(check_version(config))


def test_every_finding_that_is_not_in_order_says_what_to_do(config: Config) -> None:
    """On a home where nothing is prepared yet: every problem names a remedy, in its own field or in its text."""
    checks = (diagnosis.check_folders(config), diagnosis.check_database(config), [diagnosis.check_daemon(config)])
    found = [finding for check in checks for finding in worst(check)]
    assert found
    assert all(finding.remedy or "`medasrd" in finding.text for finding in found)
