"""The database's way to this program's revision and into its backups: whole or not at all, and never without a copy."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.schema import SchemaItem

import migrations
from daemon.store import jobs, migration, recordings
from daemon.store.connection import Store, damage, writer_engine
from daemon.store.schema import Base, SegmentRow
from daemon.store.states import SCHEMA_REVISION, JobState, job_counts
from medasr.errors import StoreError, TransientError
from tests.support.stores import NOW, copy

SCRIPTS = Path(migrations.__file__).parent
#: What autogenerate cannot see or would misread: the full-text index is no table of the models.
SEARCH = "transcript_search"

SECOND = """
from alembic import op
revision = "9998"
down_revision = "{head}"
def upgrade():
    op.execute("CREATE TABLE second (id INTEGER PRIMARY KEY)")
"""
FAILING = """
from alembic import op
revision = "9999"
down_revision = "9998"
def upgrade():
    op.execute("CREATE TABLE third (id INTEGER PRIMARY KEY)")
    op.execute("ALTER TABLE jobs ADD COLUMN half_way TEXT")
    op.execute("INSERT INTO nowhere VALUES (1)")
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "medasr.db"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "state" / "backups"


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def later_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with two more migrations, the last of which fails half-way."""
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "m9998_second.py").write_text(SECOND.format(head=SCHEMA_REVISION))
    (scripts / "versions" / "m9999_failing.py").write_text(FAILING)
    configuration = AlembicConfig()
    configuration.set_main_option("script_location", str(scripts))
    monkeypatch.setattr(migration, "alembic_configuration", lambda: configuration)
    monkeypatch.setattr(migration, "SCHEMA_REVISION", "9999")


class TestANewDatabase:
    def test_it_is_made_at_the_revision_of_the_program(self, database: Path, backups: Path) -> None:
        assert migration.upgrade(database, backups) is None
        assert revision(database) == SCHEMA_REVISION
        assert job_counts(database) == dict.fromkeys(JobState, 0)

    def test_nothing_is_backed_up_where_nothing_was(self, database: Path, backups: Path) -> None:
        migration.upgrade(database, backups)
        assert not backups.exists()

    def test_it_is_for_its_owner_alone_whatever_the_umask(self, database: Path, backups: Path) -> None:
        script = "import os, sys; os.umask(0); from pathlib import Path; from daemon.store import migration; "
        script += "migration.upgrade(Path(sys.argv[1]), Path(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", script, database, backups], check=True)
        assert mode(database.parent) == 0o700
        assert {path.name: mode(path) for path in database.parent.iterdir()} == {
            "medasr.db": 0o600,
            "migration.lock": 0o600,
        }

    def test_it_has_the_tables_that_the_models_say(self, database: Path, backups: Path) -> None:
        migration.upgrade(database, backups)
        engine = writer_engine(database)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": not_the_search})
            assert compare_metadata(context, Base.metadata) == []
        engine.dispose()

    def test_it_has_the_constraints_that_the_models_say(self, database: Path, backups: Path) -> None:
        """Autogenerate does not compare CHECK constraints; they are most of what "only once" means."""
        migration.upgrade(database, backups)
        engine = writer_engine(database)
        with engine.connect() as connection:
            made = dict(connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all())
        engine.dispose()
        for table in Base.metadata.sorted_tables:
            for constraint in table.constraints:
                if hasattr(constraint, "sqltext"):
                    assert squeezed(str(constraint.sqltext)) in squeezed(made[table.name])
            for index in table.indexes:
                condition = index.dialect_options["sqlite"]["where"]
                assert condition is None or squeezed(str(condition)) in squeezed(made[index.name or ""])

    def test_the_expected_revision_is_the_newest_migration_and_they_form_one_line(self) -> None:
        found = [path.read_text() for path in sorted((SCRIPTS / "versions").glob("m*.py"))]
        revisions = [re.search(r'^revision = "(\w+)"', text, re.MULTILINE) for text in found]
        numbers = [match[1] for match in revisions if match]
        assert numbers == [f"{number:04d}" for number in range(1, len(found) + 1)]
        assert numbers[-1] == SCHEMA_REVISION


def not_the_search(item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    return not (kind == "table" and (name or "").startswith(SEARCH))


def squeezed(text: str) -> str:
    return " ".join(text.split())


class TestAnExistingDatabase:
    def test_at_the_right_revision_nothing_is_done(self, database: Path, backups: Path) -> None:
        migration.upgrade(database, backups)
        before = database.read_bytes()
        assert migration.upgrade(database, backups) == SCHEMA_REVISION
        assert database.read_bytes() == before
        assert not backups.exists()

    @pytest.mark.usefixtures("later_program")
    def test_a_migration_that_fails_half_way_is_undone_whole_and_the_one_before_it_stays(
        self, database: Path, backups: Path
    ) -> None:
        with pytest.raises(StoreError, match=r"could not be migrated to revision 9999 .*no such table: nowhere"):
            migration.upgrade(database, backups)
        assert revision(database) == "9998"
        assert "second" in tables(database)
        assert "third" not in tables(database)
        with closing(sqlite3.connect(database)) as connection:
            assert "half_way" not in [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        assert damage(database, thorough=True) == []

    def test_a_copy_is_made_before_it_is_touched(
        self, database: Path, backups: Path, request: pytest.FixtureRequest
    ) -> None:
        migration.upgrade(database, backups)
        request.getfixturevalue("later_program")
        with pytest.raises(StoreError):
            migration.upgrade(database, backups)
        (copy,) = backups.iterdir()
        assert copy.name.startswith(f"medasr-{SCHEMA_REVISION}-")
        assert revision(copy) == SCHEMA_REVISION
        assert (mode(backups), mode(copy)) == (0o700, 0o600)

    def test_without_room_for_the_copy_nothing_is_touched(
        self, database: Path, backups: Path, request: pytest.FixtureRequest
    ) -> None:
        migration.upgrade(database, backups)
        request.getfixturevalue("later_program")
        backups.write_text("no folder, so no copy fits")
        with pytest.raises(TransientError, match="could not take a backup"):
            migration.upgrade(database, backups)
        assert revision(database) == SCHEMA_REVISION

    def test_one_that_is_newer_than_the_program_is_refused_with_what_to_do(self, database: Path, backups: Path) -> None:
        migration.upgrade(database, backups)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        with pytest.raises(StoreError, match=r"9999, newer than this program's .* install the newer medasr"):
            migration.upgrade(database, backups)
        assert revision(database) == "9999"

    @pytest.mark.parametrize("keep", [0, 100, 4096, 30000])
    def test_a_damaged_file_is_refused_with_what_to_do_and_left_as_it_is(
        self, database: Path, backups: Path, keep: int
    ) -> None:
        migration.upgrade(database, backups)
        content = database.read_bytes()[:keep] + b"\xff" * 20000
        database.write_bytes(content)
        with pytest.raises(StoreError, match=r"is damaged; stop the daemon, .* copy the newest file of"):
            migration.upgrade(database, backups)
        assert database.read_bytes() == content

    def test_a_file_that_an_interrupted_start_left_empty_is_filled(self, database: Path, backups: Path) -> None:
        database.parent.mkdir(mode=0o700)
        database.touch(mode=0o600)
        assert migration.upgrade(database, backups) is None
        assert revision(database) == SCHEMA_REVISION

    def test_of_processes_that_come_at_once_one_migrates(self, database: Path, backups: Path) -> None:
        script = "import sys; from pathlib import Path; from daemon.store import migration; "
        script += "print(migration.upgrade(Path(sys.argv[1]), Path(sys.argv[2])))"
        command = [sys.executable, "-c", script, str(database), str(backups)]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = [process.communicate()[0].strip() for process in running]
        assert [process.returncode for process in running] == [0, 0, 0]
        assert sorted(said) == sorted(["None", SCHEMA_REVISION, SCHEMA_REVISION])
        assert not backups.exists()


class TestBackups:
    def test_one_made_while_the_database_is_written_to_opens_elsewhere_and_is_whole(
        self, database: Path, backups: Path, tmp_path: Path
    ) -> None:
        migration.upgrade(database, backups)
        stop, written = threading.Event(), threading.Event()

        def write() -> None:
            with closing(sqlite3.connect(database, timeout=30)) as connection:
                for number in range(100_000):
                    connection.execute("INSERT INTO schedule_runs VALUES ('t', ?, 'now', NULL, NULL)", (number,))
                    connection.commit()
                    written.set()
                    if stop.is_set():
                        return

        writer = threading.Thread(target=write)
        writer.start()
        written.wait()
        copy = migration.backup(database, backups, "by-hand")
        stop.set()
        writer.join()
        elsewhere = tmp_path / "elsewhere.db"
        shutil.copy(copy, elsewhere)
        assert damage(elsewhere, thorough=True) == []
        Store(elsewhere, writable=True).close()
        assert [path.suffix for path in backups.iterdir()] == [".db"]

    def test_the_mode_of_a_folder_that_a_person_named_is_left_alone(
        self, database: Path, backups: Path, tmp_path: Path
    ) -> None:
        migration.upgrade(database, backups)
        shared = tmp_path / "shared"
        shared.mkdir(mode=0o755)
        shared.chmod(0o755)
        copy = migration.backup(database, shared)
        assert (mode(shared), mode(copy)) == (0o755, 0o600)

    def test_a_half_copy_is_removed(self, database: Path, backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        migration.upgrade(database, backups)

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(migration.os, "fsync", full)
        with pytest.raises(TransientError, match="make room"):
            migration.backup(database, backups)
        assert list(backups.iterdir()) == []

    def test_of_a_damaged_file_none_is_made(self, database: Path, backups: Path) -> None:
        database.parent.mkdir(mode=0o700)
        database.write_bytes(b"this is no database, and never was one" * 1000)
        with pytest.raises(StoreError, match="is damaged"):
            migration.backup(database, backups)
        assert list(backups.iterdir()) == []


@pytest.mark.parametrize("name", ["plain", "med asr", "#1 ward", "what?mode=rw", "100%41", "Ärzte", "a&b=c;d"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    database = tmp_path / name / "medasr.db"
    migration.upgrade(database, tmp_path / name / "backups")
    store = Store(database, writable=True)
    with store.write() as session:
        session.connection()
    with store.read() as session:
        session.connection()
    store.close()
    assert damage(database, thorough=True) == []
    assert sum(job_counts(database).values()) == 0
    assert damage(migration.backup(database, tmp_path / name / "backups")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_database_without_the_learning_cycle_is_brought_up_to_it_with_all_it_holds(
    database: Path, backups: Path
) -> None:
    private = database.parent
    private.mkdir(mode=0o700)
    at_revision(database, "0002")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(
            "INSERT INTO model_versions VALUES (1, 'whisper-base', '1', 'ab', '', 'fp32', 'full', 'now')"
        )
        connection.execute("INSERT INTO schedule_runs VALUES ('evaluate', 'slot', 'now', 'now', 'OK')")
        connection.commit()
    assert migration.upgrade(database, backups) == "0002"
    assert revision(database) == SCHEMA_REVISION
    assert {"adapters", "aliases", "gate_verdicts", "learning_runs"} <= tables(database)
    assert damage(database, thorough=True) == []
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT base_id FROM model_versions").fetchall() == [("whisper-base",)]
        assert connection.execute("SELECT outcome FROM schedule_runs").fetchall() == [("OK",)]
    (copy,) = backups.iterdir()
    assert revision(copy) == "0002"


def test_a_queue_from_before_urgent_recordings_goes_on_in_its_order_and_can_be_overtaken(
    database: Path, backups: Path
) -> None:
    database.parent.mkdir(mode=0o700)
    at_revision(database, "0003")
    ids = [letter * 32 for letter in "ab"]
    with closing(sqlite3.connect(database)) as connection:
        for number, identifier in enumerate(ids):
            at = f"2026-03-01T12:00:0{number}.000+00:00"
            connection.execute(
                "INSERT INTO recordings VALUES (?, ?, 1, 'n', x'6e', 'urgent', ?, NULL, ?)",
                (identifier, identifier * 2, identifier, at),
            )
            connection.execute(
                "INSERT INTO jobs (recording_id, state, attempts, not_before, created_at, updated_at) "
                "VALUES (?, 'received', 0, ?, ?, ?)",
                (identifier, at, at, at),
            )
        connection.commit()
    assert migration.upgrade(database, backups) == "0003"
    assert revision(database) == SCHEMA_REVISION
    assert damage(database, thorough=True) == []
    urgent = copy("urgent.wav", urgent=True)
    with closing(Store(database, writable=True)) as store:
        with store.write() as session:
            recordings.receive(session, [urgent], now=NOW)
        claimed = []
        for _ in range(3):
            with store.write() as session:
                job = jobs.next_waiting(session, now=NOW)
                assert job is not None
                claimed.append(job.recording_id)
                jobs.claim(session, job.id, owner="t", lease=timedelta(minutes=5), now=NOW)
    assert claimed == [urgent.id, *ids]


def test_segments_from_before_lists_of_terms_have_no_words_of_any(database: Path, backups: Path) -> None:
    database.parent.mkdir(mode=0o700)
    at_revision(database, "0004")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("INSERT INTO segments VALUES (1, 0, 0.0, 1.0, 'It hurts.', -0.1, 0.0, 1.0, '[]')")
        connection.commit()
    assert migration.upgrade(database, backups) == "0004"
    with closing(Store(database, writable=True)) as store, store.read() as session:
        (row,) = session.scalars(select(SegmentRow)).all()
        assert (row.text, row.biased) == ("It hurts.", [])


def at_revision(database: Path, wanted: str) -> None:
    """A database as an older program left it."""
    engine = writer_engine(database)
    with engine.connect() as connection:
        configuration = migration.alembic_configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, wanted)
    engine.dispose()
