"""``medasrd models`` about versions, as a person and as a program meet it, where no daemon runs and where one answers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon import control
from daemon import home as homes
from daemon.cli import medasrd
from daemon.config import Config
from daemon.control import ControlServer
from daemon.registry import desk, settling
from daemon.registry.registry import Registry
from daemon.registry.serving import model_name, resolve
from daemon.store import jobs, migration, recordings, transcripts
from daemon.store.connection import Store
from medasr.errors import AlreadyRunning, FatalError, MedasrError
from medasr.types import ModelVersion
from tests.conftest import write_config
from tests.support.adapters import BASE, describe, enter, make_files
from tests.support.stores import NOW, copy, later, result

FORCE = ("--force", "--reason", "a test")


@pytest.fixture
def config(home: Path) -> Config:
    home.joinpath("state").mkdir(mode=0o700)
    return write_config(home, paths={"models": home / "models"})


@pytest.fixture
def store(config: Config) -> Iterator[Store]:
    migration.upgrade(config.paths.database, config.paths.backups)
    store = Store(config.paths.database, writable=True)
    yield store
    store.close()


@pytest.fixture
def versions(config: Config, store: Store, tmp_path: Path) -> tuple[str, str]:
    """Two versions, entered as an import enters them."""
    registry = Registry(config=config, store=store, now=lambda: NOW)
    names = [enter(registry, make_files(tmp_path / content, content)) for content in ("one", "two")]
    return names[0], names[1]


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture(params=["alone", "daemon"])
def anyhow(request: pytest.FixtureRequest, config: Config, store: Store, changes: list[str]) -> Iterator[str]:
    """Once without a daemon, once with one that answers on its socket."""
    if request.param == "alone":
        yield "alone"
        return
    registry = Registry(config=config, store=store, now=lambda: NOW, on_change=lambda: changes.append("changed"))
    server = ControlServer(config.paths.state, desk.handlers(registry))
    server.start()
    yield "daemon"
    server.stop()


def models(config: Config, *arguments: str) -> Result:
    path = config.paths.state.parent / "config.toml"
    return CliRunner().invoke(medasrd, ["models", *arguments, "--config", str(path)])


def said(config: Config, *arguments: str) -> str:
    done = models(config, *arguments)
    assert done.exception is None, done.exception
    return done.stdout


def refusal(config: Config, *arguments: str) -> str:
    done = models(config, *arguments)
    assert isinstance(done.exception, MedasrError)
    return str(done.exception)


def served(config: Config) -> str:
    return model_name(config, resolve(config))


def test_a_version_is_promoted_and_rolled_back(
    config: Config, versions: tuple[str, str], anyhow: str, changes: list[str]
) -> None:
    assert "medasrd gate run" in refusal(config, "promote", versions[0])
    assert "needs its reason" in refusal(config, "promote", versions[0], "--force")
    assert said(config, "promote", versions[0], *FORCE) == f"{versions[0]} serves from now on\n"
    said(config, "promote", versions[1][-8:], *FORCE)
    assert served(config) == versions[1]
    assert said(config, "rollback") == f"{versions[0]} serves again\n"
    assert served(config) == versions[0]
    assert len(changes) == (3 if anyhow == "daemon" else 0)


@pytest.mark.usefixtures("anyhow")
def test_while_one_is_pinned_nothing_is_promoted(config: Config, versions: tuple[str, str]) -> None:
    said(config, "promote", versions[0], *FORCE)
    assert "is pinned" in said(config, "pin")
    assert "medasrd models unpin" in refusal(config, "promote", versions[1], *FORCE)
    said(config, "unpin")
    said(config, "promote", versions[1], *FORCE)


@pytest.mark.usefixtures("anyhow")
def test_errors_are_the_same_whoever_does_it(config: Config, versions: tuple[str, str]) -> None:
    with pytest.raises(FatalError, match="has not held"):
        desk.promote(config, versions[0])
    with pytest.raises(FatalError, match="there is no version 'nothing'"):
        desk.perform(config, "remove", name="nothing")
    said(config, "remove", versions[0])
    assert not (config.paths.adapters / versions[0]).exists()


class TestWhileADaemonStarts:
    """It has taken the home, and does not answer yet."""

    @pytest.fixture
    def starting(self, config: Config, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
        monkeypatch.setattr(control, "LOOK_SECONDS", 0.01)
        with homes.locked(config.paths.state):
            yield ControlServer(
                config.paths.state, desk.handlers(Registry(config=config, store=store, now=lambda: NOW))
            )

    def test_a_command_waits_until_it_answers(
        self, config: Config, versions: tuple[str, str], starting: ControlServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone, refused = desk.alone, threading.Event()

        @contextmanager
        def watched(config: Config) -> Iterator[Registry]:
            try:
                with alone(config) as registry:
                    yield registry
            except AlreadyRunning:
                refused.set()
                raise

        monkeypatch.setattr(desk, "alone", watched)
        thread = threading.Thread(
            target=desk.promote, args=(config, versions[0]), kwargs={"force": True, "reason": "r"}
        )
        thread.start()
        assert refused.wait(60)
        starting.start()
        thread.join()
        starting.stop()
        assert served(config) == versions[0]

    @pytest.mark.usefixtures("starting")
    def test_but_not_for_ever(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(desk, "PATIENCE_SECONDS", 0.0)
        with pytest.raises(AlreadyRunning):
            desk.perform(config, "pin")


@pytest.mark.parametrize("argument", ["", "[]", "{", '{"name": "x", "more": 1}', '{"name": 3}'])
def test_a_malformed_request_changes_nothing(config: Config, store: Store, argument: str) -> None:
    registry = Registry(config=config, store=store, now=lambda: NOW)
    with pytest.raises(FatalError):
        desk.handlers(registry)["models-remove"](argument, "ann")


def test_the_list_shows_each_version_with_what_it_is_to_its_base(config: Config, versions: tuple[str, str]) -> None:
    said(config, "promote", versions[0], *FORCE)
    lines = said(config, "list").splitlines()
    assert any(re.match(rf"{versions[0]} +serving +imported", line) for line in lines)
    assert any(re.match(rf"{versions[1]} +candidate +imported", line) for line in lines)


def test_a_home_without_a_database_has_a_list_too(config: Config) -> None:
    assert "medasrd models pull" in said(config, "list")
    assert said(config, "list", "--json") == "[]\n"


@pytest.mark.parametrize("number", [0, 1])
def test_a_version_is_shown_with_its_manifest_and_its_card(
    config: Config, versions: tuple[str, str], number: int
) -> None:
    shown = said(config, "show", versions[number])
    assert "dataset    train: 12" in shown
    assert shown.endswith("# made by a test\n")
    document = json.loads(said(config, "show", versions[number], "--json"))
    assert (document["name"], document["manifest"]["seed"]) == (versions[number], 1)
    assert document["card"] == "# made by a test\n"


def test_a_card_cannot_command_the_terminal(config: Config, store: Store, tmp_path: Path) -> None:
    registry = Registry(config=config, store=store, now=lambda: NOW)
    source = make_files(tmp_path / "embedded" / "whisper-tiny.en")
    (source / "README.md").write_text("\x1b]0;owned\x07 card")
    describe(source, BASE)
    name = settling.settle(registry, embedded=tmp_path / "embedded")
    assert name is not None
    assert "\x1b" not in said(config, "show", name)


def test_verify_hashes_versions_too(config: Config, versions: tuple[str, str]) -> None:
    assert f"{versions[0]}: intact" in said(config, "verify")
    (config.paths.adapters / versions[0] / "README.md").write_text("another card")
    done = models(config, "verify", "--json")
    assert done.exit_code == 1
    found = {one["name"]: one["intact"] for one in json.loads(done.stdout)}
    assert found == {versions[0]: False, versions[1]: True}
    assert models(config, "verify", versions[0]).exit_code == 1
    assert models(config, "verify", versions[1]).exit_code == 0


class TestWhatAVersionTranscribed:
    @pytest.fixture
    def transcribed(self, config: Config, store: Store, versions: tuple[str, str]) -> dict[str, str]:
        """Recordings by who transcribed them last."""
        found = {}
        for name, makers in (
            ("first", (versions[0],)),
            ("both", (versions[0], versions[1])),
            ("stock", (None,)),
        ):
            entry = copy(f"{name}.wav")
            with store.write() as session:
                recordings.receive(session, [entry], now=NOW)
                for maker in makers:
                    if maker != makers[0]:
                        jobs.again(session, entry.id, actor="ann", now=NOW)
                    job = jobs.of_recording(session, entry.id)
                    jobs.claim(session, job.id, owner="t", lease=later(hours=1) - NOW, now=NOW)
                    done = result("Chest pain.", model=version_of(config, maker))
                    transcripts.complete(session, job.id, entry.id, done, now=NOW)
            found[name] = entry.id
        return found

    def test_it_is_listed(self, config: Config, versions: tuple[str, str], transcribed: dict[str, str]) -> None:
        document = json.loads(said(config, "affected", versions[0], "--json"))
        latest = {one["recording"]: one["latest"] for one in document["transcripts"]}
        assert latest == {transcribed["first"]: True, transcribed["both"]: False}
        (stock,) = json.loads(said(config, "affected", "base", "--json"))["transcripts"]
        assert stock["recording"] == transcribed["stock"]
        assert transcribed["first"][:8] in said(config, "affected", versions[0])

    @pytest.mark.usefixtures("anyhow")
    def test_it_is_queued_again_once(
        self, config: Config, store: Store, versions: tuple[str, str], transcribed: dict[str, str]
    ) -> None:
        assert "1 recording(s) wait" in said(config, "affected", versions[0], "--redo")
        with store.read() as session:
            states = {name: str(jobs.of_recording(session, number).state) for name, number in transcribed.items()}
        assert states == {"first": "received", "both": "done", "stock": "done"}
        assert "0 recording(s) wait" in said(config, "affected", versions[0], "--redo")

    @pytest.mark.usefixtures("transcribed")
    def test_not_by_the_version_that_would_write_the_same(self, config: Config, versions: tuple[str, str]) -> None:
        said(config, "promote", versions[0], *FORCE)
        assert "would write the same" in refusal(config, "affected", versions[0], "--redo")
        said(config, "promote", versions[1], *FORCE)
        assert "1 recording(s) wait" in said(config, "affected", versions[0], "--redo")

    def test_a_version_that_did_nothing_says_so(self, config: Config, versions: tuple[str, str]) -> None:
        assert said(config, "affected", versions[1]) == f"{versions[1]} has transcribed nothing here\n"


def version_of(config: Config, name: str | None) -> ModelVersion:
    adapter = json.loads((config.paths.adapters / name / "medasr.json").read_text())["files"] if name else {}
    return ModelVersion(
        base_id=BASE.name,
        base_revision=BASE.revision,
        base_sha256=BASE.weights_sha256,
        adapter_sha256=adapter.get("adapter_model.safetensors"),
        precision="fp32",
    )


class TestLeaving:
    def test_an_exported_version_is_the_same_files(
        self, config: Config, versions: tuple[str, str], tmp_path: Path
    ) -> None:
        target = tmp_path / "usb" / "adapter"
        assert said(config, "export", versions[0], str(target)) == f"{versions[0]} is in {target}\n"
        shelved = config.paths.adapters / versions[0]
        assert {path.name: path.read_bytes() for path in target.iterdir()} == {
            path.name: path.read_bytes() for path in shelved.iterdir()
        }
        assert [path.name for path in (tmp_path / "usb").iterdir()] == ["adapter"]

    def test_nothing_is_overwritten(self, config: Config, versions: tuple[str, str], tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        assert "exists already" in refusal(config, "export", versions[0], str(tmp_path / "there"))
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        assert "exists already" in refusal(config, "export", versions[0], str(tmp_path / "link"))

    def test_an_altered_version_does_not_leave(self, config: Config, versions: tuple[str, str], tmp_path: Path) -> None:
        (config.paths.adapters / versions[0] / "README.md").write_text("another card")
        assert "was altered" in refusal(config, "export", versions[0], str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()

    def test_stock_weights_are_no_adapter(self, config: Config, store: Store, tmp_path: Path) -> None:
        assert "is a base without an adapter" in refusal(config, "export", "serving", str(tmp_path / "out"))

    @pytest.mark.parametrize("arguments", [(), ("out", "--push", "a/b"), ("--merged", "--push", "a/b")])
    def test_one_way_at_a_time(self, config: Config, versions: tuple[str, str], arguments: tuple[str, ...]) -> None:
        assert models(config, "export", versions[0], *arguments).exit_code == 2

    @pytest.mark.parametrize("repository", ["name", "a/b/c", "../b", "a/b@1"])
    def test_a_repository_is_named_as_one(self, config: Config, versions: tuple[str, str], repository: str) -> None:
        assert "ORG/NAME" in refusal(config, "export", versions[0], "--push", repository)

    def test_a_hub_name_without_a_revision_is_refused(self, config: Config) -> None:
        assert "does not fix a revision" in refusal(config, "import", "ward/adapter@main")


def test_no_thread_is_left() -> None:
    assert not [thread for thread in threading.enumerate() if thread.name == "control"]
