"""Versions: installed whole or not at all, promoted by the gate's word or with a reason, never while one is pinned, always undoable."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon.config import Config
from daemon.registry import settling, shelf
from daemon.registry.desk import alone
from daemon.registry.registry import Pinned, Registry
from daemon.registry.serving import adapter_identity, model_name, resolve
from daemon.store import audit, migration, models
from daemon.store.connection import Store
from daemon.store.schema import AuditRow, GateVerdictRow
from medasr.errors import FatalError, ModelError, TransientError
from medasr.packs import InstalledModel
from tests.conftest import write_config
from tests.support.adapters import BASE, describe, enter, make_files
from tests.support.stores import NOW


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
def told() -> list[str]:
    return []


@pytest.fixture
def registry(config: Config, store: Store, told: list[str]) -> Registry:
    return Registry(config=config, store=store, now=lambda: NOW, on_change=lambda: told.append("changed"))


@pytest.fixture
def first(registry: Registry, tmp_path: Path) -> str:
    return enter(registry, make_files(tmp_path / "first", "one"))


@pytest.fixture
def second(registry: Registry, tmp_path: Path, first: str) -> str:
    return enter(registry, make_files(tmp_path / "second", "two", context=10.0))


def judge(store: Store, version: str, incumbent: str | None, decision: str) -> int:
    with store.write() as session:
        row = GateVerdictRow(
            adapter_id=models.find_adapter(session, version).id,
            incumbent_id=models.find_adapter(session, incumbent).id if incumbent else None,
            decision=decision,
            document={},
            created_at=NOW,
            trigger="manual",
        )
        session.add(row)
        session.flush()
        return row.id


def aliases(registry: Registry) -> dict[str, str | None]:
    with registry.store.read() as session:
        found = models.aliases(session, BASE.name)
        return {alias: row.name if row else None for alias, row in found.items()}


def served(config: Config) -> str:
    return model_name(config, resolve(config))


def trail(store: Store) -> list[tuple[str, str, dict[str, object]]]:
    with store.read() as session:
        return [(row.actor, row.action, row.detail) for row in session.scalars(select(AuditRow).order_by(AuditRow.id))]


class TestTheShelf:
    def test_a_version_is_named_after_its_base_and_its_weights(self, config: Config, first: str) -> None:
        folder = config.paths.adapters / first
        assert first.startswith("whisper-tiny.en-")
        assert sorted(path.name for path in folder.iterdir()) == [
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "medasr.json",
        ]

    def test_its_files_are_for_their_owner_alone(self, config: Config, first: str) -> None:
        folder = config.paths.adapters / first
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(config.paths.adapters.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    def test_one_without_manifest_gets_one_for_the_base_that_was_named(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        source = make_files(tmp_path / "plain")
        (source / "medasr.json").unlink()
        name = enter(registry, source)
        with registry.store.read() as session:
            row = models.find_adapter(session, name)
            assert (row.base_sha256, row.audio_context) == (BASE.weights_sha256, "full")

    def test_the_same_weights_are_one_version(self, registry: Registry, first: str, tmp_path: Path) -> None:
        assert enter(registry, make_files(tmp_path / "again", "one")) == first

    def test_the_same_weights_with_other_settings_are_refused(
        self, registry: Registry, first: str, tmp_path: Path
    ) -> None:
        source = make_files(tmp_path / "louder", "one")
        (source / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 1000}')
        describe(source, BASE)
        with pytest.raises(FatalError, match=f"these weights are known as {first}, with another adapter_config.json"):
            enter(registry, source)

    def test_one_whose_files_were_altered_on_the_shelf_is_repaired_by_importing_it_again(
        self, registry: Registry, config: Config, first: str, tmp_path: Path
    ) -> None:
        weights = config.paths.adapters / first / "adapter_model.safetensors"
        weights.write_bytes(b"something else")
        assert enter(registry, tmp_path / "first") == first
        assert weights.read_bytes() == b"one"

    @pytest.mark.parametrize(
        ("harm", "complaint"),
        [
            (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"onf"), "was altered"),
            (lambda folder: (folder / "adapter_config.json").unlink(), "holds no adapter_config.json"),
            (lambda folder: (folder / "README.md").unlink(), "is missing"),
            (lambda folder: (folder / "adapter_model.bin").write_bytes(b"x"), "can run code"),
            (lambda folder: (folder / "medasr.json").write_text("{"), "cannot be read"),
            (
                lambda folder: describe(folder, replace(BASE, weights_sha256="cd" * 32)),
                "belongs to whisper-tiny.en with weights",
            ),
            (lambda folder: link(folder / "adapter_model.safetensors", "/etc/hostname"), "no plain file"),
            (lambda folder: link(folder / "heard.json", "/dev/zero"), "no plain file"),
        ],
        ids=["byte", "config", "card", "pickle", "manifest", "base", "link", "device"],
    )
    def test_what_is_not_whole_is_refused_and_leaves_nothing(
        self, registry: Registry, tmp_path: Path, harm: object, complaint: str
    ) -> None:
        source = make_files(tmp_path / "harmed", "one")
        harm(source)  # type: ignore[operator]
        with pytest.raises(ModelError, match=complaint):
            enter(registry, source)
        assert [path.name for path in registry.config.paths.adapters.iterdir()] == [".lock"]
        assert aliases(registry) == {}

    @pytest.mark.parametrize(
        "name", ["../../../etc-12345678", "/etc/passwd", "a/b-12345678", ".hidden-12345678", "x", ""]
    )
    def test_nothing_but_a_versions_name_becomes_a_path(self, registry: Registry, name: str) -> None:
        with pytest.raises(FatalError, match="no version"):
            registry.register(name, BASE.name, "imported", actor="ann")

    def test_a_manifest_cannot_lead_elsewhere(self, registry: Registry, tmp_path: Path) -> None:
        outside = tmp_path / "secret"
        outside.write_text("mine")
        source = make_files(tmp_path / "traversal", base=replace(BASE, name="../../../../etc"))
        manifest = (source / "medasr.json").read_text()
        (source / "medasr.json").write_text(manifest.replace('"README.md"', '"../secret"'))
        with pytest.raises(ModelError, match=r"is not part of the adapter|is missing"):
            enter(registry, source)

    def test_folders_exchanged_for_links_are_refused(
        self, registry: Registry, config: Config, first: str, tmp_path: Path
    ) -> None:
        shelved = config.paths.adapters / first
        elsewhere = shelved.rename(tmp_path / "elsewhere")
        shelved.symlink_to(elsewhere)
        with pytest.raises(ModelError, match="link"):
            registry.promote(first, actor="ann", force=True, reason="r")
        with pytest.raises(ModelError, match="altered"):
            resolve(config, first)
        config.paths.adapters.rename(tmp_path / "adapters")
        config.paths.adapters.symlink_to(tmp_path / "adapters")
        with pytest.raises(ModelError, match="link"):
            enter(registry, make_files(tmp_path / "another", "another"))

    def test_a_full_disk_leaves_nothing(
        self, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        source = make_files(tmp_path / "source")
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(TransientError, match="make room"):
            enter(registry, source)
        assert [path.name for path in registry.config.paths.adapters.iterdir()] == [".lock"]

    def test_what_was_half_built_is_swept_at_the_next_start(self, registry: Registry, first: str) -> None:
        adapters = registry.config.paths.adapters
        (adapters / ".tmp-abc").mkdir()
        settling.recover(registry)
        assert sorted(path.name for path in adapters.iterdir()) == [".lock", first]

    def test_files_of_a_removed_version_that_a_crash_left_go_at_the_next_start(
        self, registry: Registry, first: str
    ) -> None:
        with registry.store.write() as session:
            models.remove_adapter(session, models.find_adapter(session, first).id, now=NOW)
        settling.recover(registry)
        assert [path.name for path in registry.config.paths.adapters.iterdir()] == [".lock"]

    def test_a_version_newer_than_a_restored_database_is_entered_again(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        adapters = registry.config.paths.adapters
        with shelf.locked(adapters):
            source = make_files(tmp_path / "later")
            placed = shelf.place(adapters, source, [BASE], preferred=BASE.name, fits=lambda _base, _adapter: None)
        shutil.copytree(adapters / placed.name, adapters / "whisper-tiny.en-00000000")
        settling.recover(registry, [BASE])
        assert aliases(registry) == {"candidate": placed.name}
        with registry.store.read() as session:
            assert [row.name for row in models.list_adapters(session)] == [placed.name]


def pretend_installed(config: Config, *, weights_sha256: str) -> None:
    """A base on the disk as far as its manifest goes."""
    folder = config.paths.models / BASE.name
    folder.mkdir(parents=True)
    manifest = {"schema": 1, "name": BASE.name, "source": "hub", "revision": "1", "parameters": 1, "files": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"weights_sha256": weights_sha256}))


def link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


class TestPromotion:
    def test_a_new_version_is_a_candidate_and_serves_nobody(
        self, registry: Registry, config: Config, first: str
    ) -> None:
        assert aliases(registry) == {"candidate": first}
        assert served(config) == "whisper-tiny.en"

    def test_the_gates_word_lets_it_serve(
        self, registry: Registry, config: Config, first: str, told: list[str]
    ) -> None:
        verdict = judge(registry.store, first, None, "PROMOTE")
        assert registry.promote(first, actor="ann") == f"{first} serves from now on"
        assert aliases(registry) == {"serving": first, "previous": None}
        assert served(config) == first
        assert told == ["changed"]
        actor, action, detail = trail(registry.store)[-1]
        assert (actor, action, detail["reason"], detail["verdict"]) == ("ann", "promoted", "GATE", verdict)
        assert (detail["version"], detail["previous"]) == (first, "whisper-tiny.en (stock)")

    def test_without_the_gate_it_does_not(self, registry: Registry, first: str, told: list[str]) -> None:
        with pytest.raises(FatalError, match=f"has not held {first} against .*stock.*medasrd gate run {first}"):
            registry.promote(first, actor="ann")
        assert (aliases(registry), told) == ({"candidate": first}, [])

    def test_a_rejected_one_does_not(self, registry: Registry, first: str) -> None:
        judge(registry.store, first, None, "PROMOTE")
        verdict = judge(registry.store, first, None, "REJECT")
        with pytest.raises(FatalError, match=f"rejected {first}.*medasrd gate show {verdict}"):
            registry.promote(first, actor="ann")

    def test_a_verdict_against_what_no_longer_serves_counts_for_nothing(
        self, registry: Registry, first: str, second: str
    ) -> None:
        judge(registry.store, second, None, "PROMOTE")
        registry.promote(first, actor="ann", force=True, reason="a trial")
        with pytest.raises(FatalError, match=f"has not held {second} against {first}"):
            registry.promote(second, actor="ann")

    def test_past_the_gate_takes_a_reason_that_stays_in_the_audit_trail(self, registry: Registry, first: str) -> None:
        with pytest.raises(FatalError, match="needs its reason"):
            registry.promote(first, actor="ann", force=True, reason="  ")
        registry.promote(first, actor="ann", force=True, reason="asked for by the ward")
        assert trail(registry.store)[-1][2]["words"] == "asked for by the ward"
        assert trail(registry.store)[-1][2]["reason"] == "FORCED"
        with registry.store.read() as session:
            assert audit.broken_link(session) is None

    def test_an_alias_or_the_beginning_of_a_hash_names_it_too(
        self, registry: Registry, config: Config, first: str
    ) -> None:
        registry.promote("candidate", actor="ann", force=True, reason="r")
        assert served(config) == first
        registry.rollback(actor="ann")
        assert "candidate" not in aliases(registry)
        registry.promote(first[-8:], actor="ann", force=True, reason="r")
        assert served(config) == first

    def test_what_serves_is_not_promoted_again(self, registry: Registry, first: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        with pytest.raises(FatalError, match="serves already"):
            registry.promote(first, actor="ann", force=True, reason="r")
        assert aliases(registry)["previous"] is None

    @pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "medasr.json", "README.md"])
    def test_altered_files_are_refused(self, registry: Registry, config: Config, first: str, name: str) -> None:
        path = config.paths.adapters / first / name
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelError):
            registry.promote(first, actor="ann", force=True, reason="r")
        assert aliases(registry) == {"candidate": first}

    def test_files_that_agree_with_an_exchanged_manifest_are_refused_too(
        self, registry: Registry, config: Config, first: str
    ) -> None:
        folder = config.paths.adapters / first
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4, "lora_alpha": 1000}')
        describe(folder, BASE)
        with pytest.raises(ModelError, match="not as it was installed"):
            registry.promote(first, actor="ann", force=True, reason="r")

    def test_the_stock_weights_serve_again_with_a_reason(self, registry: Registry, config: Config, first: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        registry.promote("base", actor="ann", force=True, reason="to compare")
        assert served(config) == "whisper-tiny.en"
        assert aliases(registry) == {"serving": None, "previous": first}


class TestRollback:
    def test_it_is_one_act_and_twice_changes_nothing(
        self, registry: Registry, config: Config, first: str, second: str, told: list[str]
    ) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        registry.promote(second, actor="ann", force=True, reason="r")
        assert registry.rollback(actor="bob") == f"{first} serves again"
        assert (served(config), aliases(registry)["previous"]) == (first, second)
        assert trail(registry.store)[-1][:2] == ("bob", "rolled back")
        registry.rollback(actor="bob")
        assert (served(config), aliases(registry)["previous"]) == (second, first)
        assert len(told) == 4

    def test_where_nothing_served_before_there_is_nothing_to_go_back_to(self, registry: Registry) -> None:
        with pytest.raises(FatalError, match="nothing to go back to"):
            registry.rollback(actor="ann")

    def test_it_refuses_altered_files(self, registry: Registry, config: Config, first: str, second: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        registry.promote(second, actor="ann", force=True, reason="r")
        (config.paths.adapters / first / "adapter_model.safetensors").write_bytes(b"onf")
        with pytest.raises(ModelError, match="was altered"):
            registry.rollback(actor="ann")
        assert served(config) == second


class TestPins:
    def test_while_one_is_pinned_nothing_else_serves(
        self, registry: Registry, config: Config, first: str, second: str
    ) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        assert f"{first} is pinned" in registry.pin(actor="ann")
        judge(registry.store, second, first, "PROMOTE")
        for act in (
            lambda: registry.promote(second, actor="ann"),
            lambda: registry.promote(second, actor="ann", force=True, reason="r"),
            lambda: registry.rollback(actor="ann"),
        ):
            with pytest.raises(Pinned, match="medasrd models unpin"):
                act()
        registry.unpin(actor="ann")
        registry.promote(second, actor="ann")
        assert served(config) == second

    def test_the_stock_weights_can_be_pinned(self, registry: Registry, first: str) -> None:
        registry.pin(actor="ann")
        with pytest.raises(Pinned, match="stock"):
            registry.promote(first, actor="ann", force=True, reason="r")

    def test_nothing_is_unpinned_twice(self, registry: Registry) -> None:
        with pytest.raises(FatalError, match="pinned"):
            registry.unpin(actor="ann")


class TestRemoval:
    def test_what_an_alias_needs_stays(self, registry: Registry, first: str, second: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        registry.promote(second, actor="ann", force=True, reason="r")
        for name in (first, second):
            with pytest.raises(FatalError, match="so its files stay"):
                registry.remove(name, actor="ann")

    def test_a_removed_one_leaves_its_row_and_may_come_back(
        self, registry: Registry, config: Config, second: str, tmp_path: Path
    ) -> None:
        registry.remove(second, actor="ann")
        assert not (config.paths.adapters / second).exists()
        with registry.store.read() as session:
            assert models.find_adapter(session, second).removed_at == NOW
            assert second not in {row.name for row in models.list_adapters(session)}
        with pytest.raises(ModelError, match="were removed"):
            registry.promote(second, actor="ann", force=True, reason="r")
        with pytest.raises(ModelError, match="were removed"):
            resolve(config, second)
        assert enter(registry, tmp_path / "second") == second
        registry.promote(second, actor="ann", force=True, reason="r")

    def test_only_old_trained_ones_that_nobody_needs_are_pruned(self, registry: Registry, tmp_path: Path) -> None:
        names = [enter(registry, make_files(tmp_path / f"t{n}", f"t{n}"), "trained") for n in range(5)]
        imported = enter(registry, make_files(tmp_path / "mine", "mine"))
        registry.promote(names[0], actor="ann", force=True, reason="r")
        assert registry.prune(2, actor="daemon") == "2 removed"
        with registry.store.read() as session:
            left = {row.name for row in models.list_adapters(session)}
        assert left == {names[0], names[3], names[4], imported}


class TestResolving:
    def test_the_configuration_may_name_other_weights(self, home: Path, registry: Registry, first: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        stock = write_config(home, paths={"models": home / "models"}, model={"adapter": ""})
        assert resolve(stock).adapter == ""
        own = write_config(home, paths={"models": home / "models"}, model={"adapter": "mine"})
        assert resolve(own).adapter == str(home / "mine")
        assert resolve(own, first).adapter == str(home / "state" / "adapters" / first)

    def test_aliases_versions_and_bases_are_told_apart(
        self, registry: Registry, config: Config, first: str, second: str
    ) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        folder = config.paths.adapters
        assert resolve(config, "serving").adapter == str(folder / first)
        assert resolve(config, "candidate").adapter == str(folder / second)
        assert resolve(config, "previous").adapter == ""
        assert resolve(config, "base").adapter == ""
        assert resolve(config, second[-8:]).adapter == str(folder / second)
        assert (resolve(config, "whisper-base").base, resolve(config, "whisper-base").adapter) == ("whisper-base", "")
        assert adapter_identity(resolve(config, first))[:8] == first[-8:]

    def test_an_alias_that_is_not_set_is_an_error(self, config: Config) -> None:
        with pytest.raises(FatalError, match="there is no candidate version"):
            resolve(config, "candidate")

    def test_before_there_is_a_database_the_embedded_adapter_or_the_stock_weights_serve(
        self, config: Config, tmp_path: Path
    ) -> None:
        assert resolve(config).adapter == ""
        embedded = make_files(tmp_path / "embedded" / "whisper-tiny.en")
        assert resolve(config, embedded=tmp_path / "embedded").adapter == str(embedded)
        assert not config.paths.database.exists()

    def test_altered_files_are_never_served(self, registry: Registry, config: Config, first: str) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        shutil.rmtree(config.paths.adapters / first)
        with pytest.raises(ModelError, match="medasrd models rollback"):
            resolve(config)


class TestTheEmbeddedAdapter:
    @pytest.fixture
    def embedded(self, tmp_path: Path) -> Path:
        make_files(tmp_path / "embedded" / "whisper-tiny.en", "ours", context=10.0)
        return tmp_path / "embedded"

    def test_in_a_new_home_it_serves(self, registry: Registry, config: Config, embedded: Path) -> None:
        name = settling.settle(registry, embedded=embedded)
        assert name is not None
        assert served(config) == name
        assert trail(registry.store)[-1][2]["reason"] == "EMBEDDED"
        assert settling.settle(registry, embedded=embedded) is None

    def test_a_rollback_gives_the_stock_weights_and_the_next_start_leaves_it_so(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        settling.settle(registry, embedded=embedded)
        registry.rollback(actor="ann")
        assert settling.settle(registry, embedded=embedded) is None
        assert served(config) == "whisper-tiny.en"

    def test_another_one_in_a_later_program_replaces_nothing(
        self, registry: Registry, config: Config, embedded: Path, tmp_path: Path
    ) -> None:
        name = settling.settle(registry, embedded=embedded)
        make_files(tmp_path / "later" / "whisper-tiny.en", "better")
        assert settling.settle(registry, embedded=tmp_path / "later") is None
        assert served(config) == name

    def test_one_that_was_altered_is_refused(self, registry: Registry, embedded: Path) -> None:
        (embedded / "whisper-tiny.en" / "adapter_model.safetensors").write_bytes(b"other")
        with pytest.raises(ModelError, match="was altered"):
            settling.settle(registry, embedded=embedded)
        assert aliases(registry) == {}

    def test_a_base_with_other_weights_is_served_as_it_is(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        pretend_installed(config, weights_sha256="cd" * 32)
        assert settling.settle(registry, embedded=embedded) is None
        assert (aliases(registry), resolve(config, embedded=embedded).adapter) == ({}, "")

    def test_one_that_served_before_such_a_base_was_pulled_gives_way_at_the_next_start(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        settling.settle(registry, embedded=embedded)
        pretend_installed(config, weights_sha256="cd" * 32)
        settling.settle(registry, embedded=embedded)
        assert served(config) == "whisper-tiny.en"
        assert trail(registry.store)[-1][2]["reason"] == "WRONG_BASE"

    def test_it_is_tuned_for_english_and_serves_no_other_language(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        german = config.model_copy(update={"model": config.model.model_copy(update={"language": "de"})})
        assert settling.settle(replace(registry, config=german), embedded=embedded) is None
        assert (aliases(registry), resolve(german, embedded=embedded).adapter) == ({}, "")

    def test_it_gives_way_when_the_language_was_changed_pinned_or_not_and_comes_back_with_it(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        name = settling.settle(registry, embedded=embedded)
        registry.pin(actor="ann")
        german = config.model_copy(update={"model": config.model.model_copy(update={"language": "de"})})
        assert resolve(german, embedded=embedded).adapter == ""  # before any start
        settling.settle(replace(registry, config=german), embedded=embedded)
        assert aliases(registry) == {"serving": None, "previous": name}
        assert trail(registry.store)[-1][2]["reason"] == "WRONG_LANGUAGE"
        assert settling.settle(registry, embedded=embedded) == name
        assert served(config) == name

    def test_imported_or_not_it_serves_no_other_language(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        registry.promote(enter(registry, embedded / "whisper-tiny.en"), actor="ann", force=True, reason="r")
        german = config.model_copy(update={"model": config.model.model_copy(update={"language": "de"})})
        settling.settle(replace(registry, config=german), embedded=embedded)
        assert served(config) == "whisper-tiny.en"

    def test_one_that_was_trained_here_stays_whatever_the_language(
        self, registry: Registry, config: Config, embedded: Path, first: str
    ) -> None:
        registry.promote(first, actor="ann", force=True, reason="r")
        german = config.model_copy(update={"model": config.model.model_copy(update={"language": "de"})})
        settling.settle(replace(registry, config=german), embedded=embedded)
        assert model_name(german, resolve(german, embedded=embedded)) == first

    def test_a_rollback_to_the_stock_weights_is_not_undone_by_the_language(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        settling.settle(registry, embedded=embedded)
        registry.rollback(actor="ann")
        german = config.model_copy(update={"model": config.model.model_copy(update={"language": "de"})})
        settling.settle(replace(registry, config=german), embedded=embedded)
        assert settling.settle(registry, embedded=embedded) is None
        assert served(config) == "whisper-tiny.en"

    def test_its_files_come_back_where_a_backup_without_them_was_restored(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        name = settling.settle(registry, embedded=embedded)
        shutil.rmtree(config.paths.adapters)
        settling.settle(registry, embedded=embedded)
        assert served(config) == name
        assert [action for _, action, _ in trail(registry.store)] == [
            "version installed",
            "promoted",
            "version restored",
        ]

    def test_files_of_it_that_were_altered_do_not_come_back(
        self, registry: Registry, config: Config, embedded: Path
    ) -> None:
        name = settling.settle(registry, embedded=embedded)
        assert name is not None
        (config.paths.adapters / name / "medasr.json").write_text("{}")
        settling.settle(registry, embedded=embedded)
        with pytest.raises(ModelError, match="missing or were altered"):
            resolve(config)

    def test_without_one_nothing_happens(self, registry: Registry, tmp_path: Path) -> None:
        assert settling.settle(registry, embedded=tmp_path / "none") is None
        assert aliases(registry) == {}


def test_acts_without_a_daemon_hold_the_home(config: Config, registry: Registry, first: str) -> None:
    registry.store.close()
    with alone(config) as other:
        other.promote(first, actor="ann", force=True, reason="r")
        with pytest.raises(FatalError, match="already works on"), alone(config):
            pass
    assert served(config) == first


def test_bases_with_the_same_weights_are_the_same_base_whatever_they_are_called(
    registry: Registry, tmp_path: Path
) -> None:
    adapters = registry.config.paths.adapters
    other = InstalledModel(**{**vars(BASE), "name": "/models/tiny"})
    with shelf.locked(adapters):
        placed = shelf.place(
            adapters, make_files(tmp_path / "a"), [other], preferred=BASE.name, fits=lambda _base, _adapter: None
        )
    assert (placed.base_id, placed.name[:5]) == ("/models/tiny", "tiny-")
