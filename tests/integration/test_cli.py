"""The commands as a person and a program meet them: what they print, and with which exit code they end."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from daemon.cli import COMMANDS, main, medasrd
from daemon.config import Config, load_config
from daemon.intake import spool
from daemon.intake.names import printable_name
from daemon.registry.registry import Registry
from daemon.store import evaluations, jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.states import SCHEMA_REVISION
from medasr.errors import MedasrError, Reason
from medasr.types import VerdictKind
from tests.conftest import write_config
from tests.support.adapters import BASE, enter, make_files
from tests.support.evaluations import make_report
from tests.support.stores import NOW, copy, hit, later, result

ROOT = Path(__file__).parents[2]
DOCUMENTATION = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command in this process, through the entry point that the console script calls."""
    umask = os.umask(0o077)

    def ran(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["medasrd", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        printed = capsys.readouterr()
        assert isinstance(code, int)
        return Ran(code=code, out=printed.out, err=printed.err)

    yield ran
    os.umask(umask)


@pytest.fixture
def new_home(run: Run, tmp_path: Path) -> Path:
    """The config.toml of a home that `medasrd init` made."""
    folder = tmp_path / "new"
    assert run("init", folder).code == 0
    return folder / "config.toml"


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A home with a recording in each state that a person asks for."""

    config: Path
    done: str
    review: str
    waiting: str
    broken: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.done, self.review, self.waiting, self.broken))


@pytest.fixture
def filled(new_home: Path, tmp_path: Path) -> Filled:
    config = load_config(new_home)
    store = Store(config.paths.database, writable=True)
    hostile = b"visit \x1b[31mred\x07\n.wav"
    spool.prepare(config.paths.spool)
    ids = {
        "done": _receive(store, config, b"back pain.wav", "Chest pain, and ibuprofen for the back pain."),
        "review": _receive(store, config, hostile, "Chest pain again.", VerdictKind.NEEDS_REVIEW),
        "waiting": _receive(store, config, b"later.wav"),
        "broken": _receive(store, config, b"broken.mp3"),
    }
    with store.write() as session:
        job = jobs.of_recording(session, ids["broken"])
        jobs.quarantine(session, job.id, Reason.BAD_FORMAT, now=later(minutes=1))
        for day in range(2):
            evaluations.add(session, make_report(skill=0.8 + day / 10, started_at=NOW + timedelta(days=day)))
    base = replace(BASE, name="whisper-base")
    enter(Registry(config=config, store=store, now=lambda: NOW), make_files(tmp_path / "adapter", base=base), base=base)
    store.close()
    return Filled(config=new_home, **ids)


def _receive(store: Store, config: Config, name: bytes, text: str = "", verdict: VerdictKind = VerdictKind.OK) -> str:
    import hashlib

    entry = copy(printable_name(name), label="ward \\u001b[0m")
    content = b"bytes of " + name
    path = spool.recording_path(config.paths.spool, entry.id)
    path.write_bytes(content)
    entry = replace(entry, stem=name[:5].hex(), sha256=hashlib.sha256(content).hexdigest(), name_bytes=name)
    found = [
        hit(term, category, text.lower().index(term))
        for term, category in (("chest pain", "symptom"), ("ibuprofen", "drug"))
        if term in text.lower()
    ]
    with store.write() as session:
        recordings.receive(session, [entry], now=NOW)
        if text:
            job = jobs.of_recording(session, entry.id)
            jobs.claim(session, job.id, owner="t", lease=later(hours=1) - NOW, now=NOW)
            done = result(text, terms=tuple(found), verdict=verdict)
            transcripts.complete(session, job.id, entry.id, done, now=NOW)
    return entry.id


def tree(
    command: click.Command = medasrd, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from tree(inner, (*path, name))
    else:
        yield path, command


LEAVES = dict(tree())
WITH_JSON = sorted(path for path, command in LEAVES.items() if any("--json" in item.opts for item in command.params))


class TestHelp:
    @pytest.mark.parametrize("path", LEAVES, ids=" ".join)
    def test_every_command_explains_itself_and_each_of_its_options(self, run: Run, path: tuple[str, ...]) -> None:
        shown = run(*path, "--help")
        assert (shown.code, shown.err) == (0, "")
        assert len((LEAVES[path].help or "").strip()) > 15
        for parameter in LEAVES[path].params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name

    @pytest.mark.parametrize("path", LEAVES, ids=" ".join)
    def test_every_command_is_documented(self, path: tuple[str, ...]) -> None:
        call = re.compile(r"medasrd (?:--\S+ )*" + " ".join(path) + r"\b")
        assert any(call.search(document.read_text()) for document in DOCUMENTATION)

    def test_every_command_takes_a_configuration_but_the_one_that_makes_it(self) -> None:
        without = [path for path, command in LEAVES.items() if not any("--config" in p.opts for p in command.params)]
        assert without == [("init",)]

    def test_the_overview_names_every_verb_with_what_it_does(self, run: Run) -> None:
        shown = run("--help").out
        for name, (_, _, summary) in COMMANDS.items():
            assert re.search(rf"^  {name} +{re.escape(summary[:30])}", shown, re.MULTILINE), name

    def test_each_verb_s_line_is_that_of_its_command(self) -> None:
        """The lines stand apart from the commands, so that --help imports none of them."""
        context = click.Context(medasrd)
        for name, (_, _, summary) in COMMANDS.items():
            command = medasrd.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                verbs = ", ".join(command.list_commands(context))
                assert sorted(re.findall(r"\w+", verbs)) == sorted(re.findall(r"\w+", summary.rpartition(":")[2]))

    def test_the_version_is_the_package_s(self, run: Run) -> None:
        import importlib.metadata

        assert run("--version").out.strip().endswith(importlib.metadata.version("medasr"))


class TestExitCodes:
    """The table of docs/operate.md."""

    @pytest.mark.parametrize(
        "arguments",
        [("fly",), ("jobs", "fly"), ("jobs", "list", "--state", "asleep"), ("show",), ("jobs", "list", "--fly")],
        ids=" ".join,
    )
    def test_2_wrong_usage(self, run: Run, arguments: tuple[str, ...]) -> None:
        ended = run(*arguments)
        assert ended.code == 2
        assert "Usage: medasrd" in ended.err

    def test_2_the_configuration_stands_before_the_command(self, run: Run) -> None:
        ended = run("--config", "/srv/c.toml", "status")
        assert (ended.code, "medasrd status --config /srv/c.toml" in ended.err) == (2, True)

    def test_78_the_configuration_is_wrong_and_every_problem_is_named(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "config.toml"
        path.write_text('[model]\nbeam = 5\nbatch_size = 0\n[intake]\npolling = "maybe"\n[schedule]\nbackup = "now"\n')
        for command in (("config", "check"), ("status",), ("run",)):
            ended = run(*command, "--config", path)
            assert (ended.code, ended.out) == (78, "")
            for option in ("model.beam", "model.batch_size", "intake.polling", "schedule.backup"):
                assert f"  {option}: " in ended.err

    def test_78_there_is_no_configuration(self, run: Run, tmp_path: Path) -> None:
        ended = run("status", "--config", tmp_path / "none.toml")
        assert (ended.code, "medasrd init" in ended.err) == (78, True)

    @pytest.mark.parametrize(
        "command",
        [
            ("status",),
            ("jobs", "list"),
            ("jobs", "retry", "1"),
            ("show", "1"),
            ("search", "pain"),
            ("terms",),
            ("quarantine", "list"),
            ("db", "check"),
            ("db", "backup"),
        ],
        ids=" ".join,
    )
    def test_10_there_is_no_database(self, run: Run, new_home: Path, command: tuple[str, ...]) -> None:
        load_config(new_home).paths.database.unlink()
        ended = run(*command, "--config", new_home)
        assert (ended.code, ended.out) == (10, "")
        assert "medasrd db upgrade" in ended.err

    @pytest.mark.parametrize(
        "command", [("status",), ("jobs", "list"), ("db", "check"), ("db", "upgrade")], ids=" ".join
    )
    def test_10_the_database_is_damaged(self, run: Run, new_home: Path, command: tuple[str, ...]) -> None:
        load_config(new_home).paths.database.write_bytes(b"this is no database" * 1000)
        assert run(*command, "--config", new_home).code == 10

    @pytest.mark.parametrize("command", [("db", "upgrade"), ("jobs", "cancel", "1"), ("run",), ("scan",)], ids=" ".join)
    def test_75_another_process_works_on_this_home(self, run: Run, filled: Filled, command: tuple[str, ...]) -> None:
        with (load_config(filled.config).paths.state / "daemon.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ended = run(*command, "--config", filled.config)
        assert (ended.code, "stop it first" in ended.err) == (75, True)

    def test_75_a_scan_could_not_deliver_what_it_transcribes(
        self, run: Run, new_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outbox = load_config(new_home).paths.outbox
        monkeypatch.setattr(os, "access", lambda path, _: path != outbox)  # as on a read-only mount, for root too
        ended = run("scan", "--config", new_home)
        assert (ended.code, f"{outbox} cannot be written to now" in ended.err) == (75, True)

    def test_1_what_was_asked_for_is_not_possible(self, run: Run, filled: Filled) -> None:
        ended = run("jobs", "cancel", filled.done[:8], "--config", filled.config)
        assert (ended.code, ended.out) == (1, "")
        assert "is done" in ended.err

    def test_1_the_state_belongs_to_another_user(
        self, run: Run, filled: Filled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbidden(*_: object, **__: object) -> int:
            raise PermissionError(13, "Permission denied", "/srv/medasr/state")

        monkeypatch.setattr(os, "open", forbidden)
        ended = run("status", "--config", filled.config)
        assert ended.code == 1
        assert "/srv/medasr/state is not yours; run this as the service's user" in ended.err

    def test_every_code_of_an_error_is_in_the_table(self) -> None:
        table = set(map(int, re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE)))
        assert {kind.exit_code for kind in (MedasrError, *_subclasses(MedasrError))} <= table


def _subclasses(kind: type[MedasrError]) -> Iterator[type[MedasrError]]:
    for inner in kind.__subclasses__():
        if hasattr(inner, "exit_code"):
            yield inner
        yield from _subclasses(inner)


class TestInit:
    def test_it_makes_a_home_that_every_command_accepts(self, run: Run, new_home: Path) -> None:
        folders = {path.name for path in new_home.parent.iterdir()}
        assert folders == {"config.toml", "inbox", "outbox", "quarantine", "state"}
        assert run("config", "check", "--config", new_home).code == 0
        assert run("status", "--config", new_home).code == 0

    def test_the_next_steps_are_printed(self, run: Run, tmp_path: Path) -> None:
        said = run("init", tmp_path / "h").out
        assert f"medasrd models pull --config {tmp_path}/h/config.toml" in said
        assert f"medasrd run --config {tmp_path}/h/config.toml" in said

    def test_running_it_again_changes_nothing(self, run: Run, filled: Filled) -> None:
        config = filled.config
        config.write_text(config.read_text().replace('device = "auto"', 'device = "cpu"'))
        before = config.read_text()
        assert run("init", config.parent).code == 0
        assert config.read_text() == before
        assert len(run("jobs", "list", "--json", "--config", config).json()) == 4

    def test_a_home_that_was_there_is_said_to_be_left_as_it_is(self, run: Run, new_home: Path) -> None:
        assert "was there, left as it is" in run("init", new_home.parent).out
        ended = run("init", new_home.parent, "--model", "whisper-tiny.en")
        assert (ended.code, f"{new_home} is there already, with model.base = whisper-base" in ended.err) == (78, True)

    def test_the_model_wished_for_is_written_down(self, run: Run, tmp_path: Path) -> None:
        assert run("init", tmp_path / "h", "--model", "whisper-tiny.en").code == 0
        assert load_config(tmp_path / "h" / "config.toml").model.base == "whisper-tiny.en"

    def test_a_file_in_the_way_is_named(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        ended = run("init", tmp_path / "file" / "home")
        assert (ended.code, str(tmp_path / "file" / "home") in ended.err) == (78, True)


class TestConfig:
    def test_what_is_shown_is_read_back_the_same(self, run: Run, home: Path, tmp_path: Path) -> None:
        write_config(home, lexicon={"extra": [str(tmp_path / 'a "b".csv')]}, intake={"settle_seconds": 1e-3})
        shown = run("config", "show", "--config", home / "config.toml").out
        again = tmp_path / "again.toml"
        again.write_text(shown)
        assert load_config(again) == load_config(home / "config.toml")
        assert run("config", "show", "--config", again).out == shown

    def test_what_is_shown_does_not_claim_to_be_the_defaults(self, run: Run, new_home: Path) -> None:
        assert run("config", "show", "--config", new_home).out.startswith("# medasr configuration in force: ")

    def test_the_environment_shows(self, run: Run, new_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDASRD_MODEL__LANGUAGE", "de")
        monkeypatch.setenv("MEDASRD_CONFIG", str(new_home))
        assert run("config", "show", "--json").json()["model"]["language"] == "de"


class TestDatabase:
    def test_upgrade_says_what_it_did(self, run: Run, new_home: Path) -> None:
        again = run("db", "upgrade", "--config", new_home)
        assert f"is at revision {SCHEMA_REVISION} already" in again.out
        load_config(new_home).paths.database.unlink()
        assert f"new -> {SCHEMA_REVISION}" in run("db", "upgrade", "--config", new_home).out

    def test_check_looks_at_the_file_the_audit_trail_and_every_recording(self, run: Run, filled: Filled) -> None:
        ended = run("db", "check", "--config", filled.config)
        assert (ended.code, ended.out) == (0, "whole: database, audit trail, and the bytes of 4 recordings\n")

    def test_check_finds_an_altered_recording(self, run: Run, filled: Filled) -> None:
        spool.recording_path(load_config(filled.config).paths.spool, filled.done).write_bytes(b"altered")
        ended = run("db", "check", "--json", "--config", filled.config)
        assert (ended.code, len(ended.json()["problems"])) == (1, 1)

    def test_check_finds_a_changed_audit_trail(self, run: Run, filled: Filled) -> None:
        import sqlite3
        from contextlib import closing

        with closing(sqlite3.connect(load_config(filled.config).paths.database)) as connection:
            connection.execute("DROP TRIGGER audit_no_update")
            connection.execute("UPDATE audit SET actor = 'nobody' WHERE id = 2")
            connection.commit()
        ended = run("db", "check", "--config", filled.config)
        assert (ended.code, "audit line 2 " in ended.out) == (1, True)

    def test_backup_prints_where_the_copy_is(self, run: Run, filled: Filled, tmp_path: Path) -> None:
        for target in ((), ("--to", tmp_path / "elsewhere")):
            copied = Path(run("db", "backup", *target, "--config", filled.config).out.strip())
            assert copied.is_file()
            Store(copied, writable=False).close()


class TestJobs:
    def test_the_newest_is_listed_first(self, run: Run, filled: Filled) -> None:
        shown = run("jobs", "list", "--config", filled.config).out
        lines = shown.splitlines()[1:]
        assert [line.split()[1] for line in lines] == [identifier[:8] for identifier in reversed([*filled])]
        assert "quarantined (BAD_FORMAT)" in lines[0]

    def test_a_state_or_several_may_be_asked_for(self, run: Run, filled: Filled) -> None:
        states = ("--state", "done", "--state", "received")
        found = run("jobs", "list", *states, "--json", "--config", filled.config).json()
        assert [item["state"] for item in found] == ["received", "done"]

    def test_the_documented_states_are_those_that_exist(self) -> None:
        from daemon.cli.jobs import COLORS, STATES
        from daemon.store.states import JobState

        assert list(STATES) == [str(state) for state in JobState]
        assert set(COLORS) <= set(STATES)

    def test_one_is_shown_with_its_arrivals_and_history(self, run: Run, filled: Filled) -> None:
        found = run("jobs", "show", filled.broken, "--json", "--config", filled.config).json()
        assert [line["what"] for line in found["history"]] == ["received", "quarantined"]
        assert [arrival["name"] for arrival in found["arrivals"]] == ["broken.mp3"]
        assert "quarantined by daemon" in run("jobs", "show", filled.broken, "--config", filled.config).out

    def test_what_a_person_does_without_a_daemon_is_done_at_once_and_noted(self, run: Run, filled: Filled) -> None:
        import pwd

        ended = run("jobs", "cancel", filled.waiting[:10], "--config", filled.config)
        assert (ended.code, "is cancelled" in ended.out) == (0, True)
        assert run("jobs", "retry", filled.waiting[:10], filled.broken[:10], "--config", filled.config).code == 0
        found = run("jobs", "show", filled.waiting, "--json", "--config", filled.config).json()
        assert [line["by"] for line in found["history"][1:]] == [pwd.getpwuid(os.getuid()).pw_name] * 2
        listed = run("jobs", "list", "--state", "received", "--json", "--config", filled.config).json()
        assert {item["recording"] for item in listed} == {filled.waiting, filled.broken}

    def test_an_urgent_one_is_told_from_the_others_and_stays_urgent_when_it_is_tried_again(
        self, run: Run, filled: Filled
    ) -> None:
        option = ("--config", filled.config)
        assert "of them urgent" not in run("status", *option).out
        store = Store(load_config(filled.config).paths.database, writable=True)
        urgent = copy("chest.wav", urgent=True)
        with store.write() as session:
            recordings.receive(session, [urgent], now=NOW)
        store.close()
        assert "2 waiting, 0 in work; 1 of them urgent" in run("status", *option).out
        assert run("status", "--json", *option).json()["urgent"] == 1
        assert "received (urgent)" in run("jobs", "list", *option).out.splitlines()[1]
        assert run("jobs", "cancel", urgent.id[:10], *option).code == 0
        assert "quarantined (urgent, CANCELLED)" in run("jobs", "list", *option).out
        assert run("status", "--json", *option).json()["urgent"] == 0
        assert run("jobs", "retry", urgent.id[:10], *option).code == 0
        assert run("jobs", "show", urgent.id, "--json", *option).json()["priority"] == "urgent"
        assert run("jobs", "show", filled.done, "--json", *option).json()["priority"] == "ordinary"

    def test_one_that_is_refused_stops_none_of_the_others(self, run: Run, filled: Filled) -> None:
        ended = run("jobs", "cancel", filled.done, filled.waiting, "--config", filled.config)
        assert (ended.code, "is cancelled" in ended.out, "is done" in ended.err) == (1, True, True)


class TestQuarantine:
    def test_it_says_why_and_what_can_be_done(self, run: Run, filled: Filled) -> None:
        shown = run("quarantine", "list", "--config", filled.config).out
        assert "BAD_FORMAT: This is not WAV, FLAC, OGG or MP3" in shown

    def test_release_puts_back_and_leaves_it_empty(self, run: Run, filled: Filled) -> None:
        assert run("quarantine", "release", filled.broken[:8], "--config", filled.config).code == 0
        assert run("quarantine", "list", "--config", filled.config).out == "The quarantine is empty.\n"
        again = run("quarantine", "release", filled.broken[:8], "--config", filled.config)
        assert (again.code, "not quarantined" in again.err) == (1, True)


class TestWhatWasHeard:
    def test_a_transcript_is_shown_with_its_terms(self, run: Run, filled: Filled) -> None:
        shown = run("show", filled.done[:8], "--config", filled.config).out
        assert "Chest pain, and ibuprofen for the back pain." in shown
        assert re.search(r"drug +ibuprofen", shown)

    def test_why_a_person_should_look_is_said(self, run: Run, filled: Filled) -> None:
        assert "look at 0.0-2.0 s: LOOP" in run("show", filled.review, "--config", filled.config).out

    def test_what_is_not_transcribed_says_so(self, run: Run, filled: Filled) -> None:
        assert "not transcribed yet" in run("show", filled.waiting, "--config", filled.config).out
        assert "BAD_FORMAT" in run("show", filled.broken, "--config", filled.config).out

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            (("chest", "pain"), 2),
            (('"back pain"',), 1),
            (('"pain back"',), 0),
            (("IBUPROFEN",), 1),
            (('un"balanced',), 0),
            (("chest NOT pain*",), 0),
            (('""',), 0),
            (("!?",), 0),
        ],
    )
    def test_search_takes_words_and_phrases_and_nothing_means_anything_else(
        self, run: Run, filled: Filled, query: tuple[str, ...], count: int
    ) -> None:
        assert len(run("search", *query, "--json", "--config", filled.config).json()) == count
        assert run("search", *query, "--config", filled.config).code == 0

    def test_terms_are_counted_and_found(self, run: Run, filled: Filled) -> None:
        counted = run("terms", "--json", "--config", filled.config).json()
        assert [(item["term"], item["hits"]) for item in counted] == [("chest pain", 2), ("ibuprofen", 1)]
        assert len(run("terms", "Chest Pain", "--json", "--config", filled.config).json()) == 2
        assert [
            item["term"] for item in run("terms", "--category", "drug", "--json", "--config", filled.config).json()
        ] == ["ibuprofen"]
        assert "No medical terms" in run("terms", "--days", "0.001", "--config", filled.config).out


class TestForPrograms:
    EXAMPLES = {  # noqa: RUF012
        ("config", "show"): (),
        ("db", "check"): (),
        ("doctor",): (),
        ("evaluations", "compare"): ("1", "2"),
        ("evaluations", "list"): (),
        ("evaluations", "show"): ("1",),
        ("gate", "list"): (),
        ("jobs", "list"): (),
        ("jobs", "show"): ("1",),
        ("learn", "status"): (),
        ("models", "affected"): ("base",),
        ("models", "list"): (),
        ("models", "show"): ("candidate",),
        ("models", "verify"): (),
        ("quarantine", "list"): (),
        ("report",): (),
        ("search",): ("pain",),
        ("show",): ("1",),
        ("status",): (),
        ("terms",): (),
    }
    #: These need a model or a dataset; tests of their own run them.
    WITH_A_MODEL = [  # noqa: RUF012
        *(
            ("evaluate",),
            ("explore",),
            ("gate", "run"),
            ("gate", "show"),
            ("scan",),
            ("train",),
            ("transcribe",),
            ("tune",),
        ),
    ]

    def test_every_command_that_takes_json_is_tried(self) -> None:
        assert sorted([*self.EXAMPLES, *self.WITH_A_MODEL]) == WITH_JSON

    @pytest.mark.parametrize("path", EXAMPLES, ids=" ".join)
    def test_json_is_one_value_and_nothing_else(
        self, run: Run, filled: Filled, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from daemon import diagnosis

        monkeypatch.setattr(diagnosis, "check_processor", lambda _: [])  # torch is slow to import
        ended = run(*path, *self.EXAMPLES[path], "--json", "--config", filled.config)
        assert isinstance(ended.json(), dict | list)
        assert ended.err == ""


class TestOnATerminal:
    @pytest.mark.parametrize(
        "command",
        [
            ("jobs", "list"),
            ("jobs", "show", "2"),
            ("show", "2"),
            ("search", "again"),
            ("terms", "chest pain"),
            ("quarantine", "list"),
            ("status",),
        ],
        ids=" ".join,
    )
    @pytest.mark.parametrize("json_wanted", [False, True])
    def test_no_name_reaches_it_as_it_came(
        self, run: Run, filled: Filled, command: tuple[str, ...], json_wanted: bool
    ) -> None:
        """Whatever a file is called, it cannot colour, move or rename a terminal; piped output has no escapes at all."""
        ended = run(*command, *(["--json"] if json_wanted else []), "--config", filled.config)
        assert ended.code == 0
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", ended.out + ended.err)

    def test_names_are_shown_escaped(self, run: Run, filled: Filled) -> None:
        shown = run("jobs", "list", "--config", filled.config).out
        assert r"visit \u001b[31mred\u0007\u000a.wav" in shown

    def test_a_terminal_that_lacks_a_letter_is_shown_its_code(self, filled: Filled) -> None:
        store = Store(load_config(filled.config).paths.database, writable=True)
        _receive(store, load_config(filled.config), "Müller 😀.wav".encode())
        store.close()
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
        command = [*ENTRY, "jobs", "list", "--config", str(filled.config)]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert "Müller \\U0001f600.wav" in done.stdout.decode("latin-1")

    def test_a_full_disk_under_the_output_is_said_and_is_temporary(self, filled: Filled) -> None:
        with Path("/dev/full").open("w") as full:
            command = [*ENTRY, "jobs", "list", "--config", str(filled.config)]
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (75, "medasrd: the disk written to is full; make room and try again\n")

    @pytest.mark.parametrize("json_wanted", [False, True])
    def test_a_file_given_by_hand_may_have_any_name(
        self, run: Run, new_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json_wanted: bool
    ) -> None:
        monkeypatch.setattr("medasr.packs.locate", lambda *_: None)  # no weights are needed to refuse a file
        path = os.fsencode(tmp_path) + b"/no utf-8 \xff \x1b[31m.wav"
        Path(os.fsdecode(path)).write_text("no audio")
        options = ["--json"] if json_wanted else []
        ended = run("transcribe", os.fsdecode(path), *options, "--config", new_home)
        assert ended.code == 3
        assert r"no utf-8 \xff \u001b[31m.wav" in (ended.json()["file"] if json_wanted else ended.err)

    def test_a_list_of_terms_that_cannot_be_used_is_said_before_anything_is_loaded(
        self, run: Run, new_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("medasr.packs.locate", lambda *_: None)
        (tmp_path / "visit.wav").write_text("no audio")
        ended = run("transcribe", tmp_path / "visit.wav", "--bias", tmp_path / "none.txt", "--config", new_home)
        assert ended.code == 78
        assert "none.txt" in ended.err

    def test_of_many_files_left_in_the_inbox_some_are_named_and_the_rest_counted(
        self, run: Run, filled: Filled, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        document = run("status", "--json", "--config", filled.config).json()
        left = [{"name": "a.doc", "code": "EXTENSION"}]
        document["inbox"] |= {"left": left, "left_counts": {"EXTENSION": 40, "EMPTY": 2}}
        monkeypatch.setattr("daemon.control.call", lambda *_: document)
        shown = run("status", "--config", filled.config).out
        assert "left  a.doc  (EXTENSION)\n" in shown
        assert "left  and 41 more\n" in shown

    def test_colours_are_for_terminals(self, filled: Filled) -> None:
        command = [*ENTRY, "jobs", "list", "--config", str(filled.config)]
        coloured = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        assert b"\x1b[" in subprocess.run(command, env=coloured, capture_output=True, check=True).stdout
        plain = {**os.environ, "TERM": "xterm-256color"}
        assert b"\x1b[" not in subprocess.run(command, env=plain, capture_output=True, check=True).stdout


#: The console script's own line, without needing it on PATH.
ENTRY = [sys.executable, "-c", "from daemon.cli import main; main()"]
#: The same, and at the end the top-level modules that were imported.
SAY_MODULES = (
    "import atexit, sys; atexit.register(lambda: print(*{n.split('.')[0] for n in sys.modules}, file=sys.stderr))"
)
ENTRY_WITH_MODULES = [sys.executable, "-c", f"{SAY_MODULES}; {ENTRY[2]}"]


class TestStartUp:
    HEAVY = {"torch", "transformers", "sqlalchemy", "alembic", "numpy", "apscheduler", "onnxruntime", "soundfile"}  # noqa: RUF012

    @pytest.mark.parametrize("command", [("--help",), ("--version",), ("status",), ("config", "check")], ids=" ".join)
    def test_a_quick_question_loads_nothing_heavy(self, new_home: Path, command: tuple[str, ...]) -> None:
        environment = {**os.environ, "MEDASRD_CONFIG": str(new_home)}
        done = subprocess.run(
            [*ENTRY_WITH_MODULES, *command], env=environment, capture_output=True, text=True, check=True
        )
        assert not self.HEAVY & set(done.stderr.split())

    def test_reading_the_store_loads_no_model(self, filled: Filled) -> None:
        command = [*ENTRY_WITH_MODULES, "search", "pain", "--config", str(filled.config)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert not {"torch", "transformers", "alembic", "numpy", "onnxruntime"} & set(done.stderr.split())

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("medasrd qu", {"quarantine"}),
            ("medasrd jobs ", {"list", "show", "retry", "cancel"}),
            ("medasrd db --he", {"--help"}),
        ],
    )
    def test_the_shell_completes_verbs_that_are_loaded_when_used(self, words: str, expected: set[str]) -> None:
        count = len(words.split(" ")) - 1
        environment = {
            **os.environ,
            "_MEDASRD_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count),
        }
        done = subprocess.run(ENTRY, env=environment, capture_output=True, text=True, check=True)
        assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected
