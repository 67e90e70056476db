"""kill -9 at every step between inbox and outbox: after a restart nothing is lost and nothing is there twice."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from daemon.config import Config
from tests.support.daemon_process import DaemonProcess, all_delivered, jobs, medasrd, medasrd_json
from tests.support.recordings import noise, write_wav
from tests.support.samples import SAMPLES

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.whisper,
    pytest.mark.usefixtures("tiny_whisper"),
    pytest.mark.timeout(600),
]

INTAKE = ("after_copy", "after_link", "before_commit", "after_commit", "after_unlink")
WORK = ("decoding", "transcribing", "before_complete", "after_complete", "before_delivery", "after_delivery")


def drop(config: Config) -> dict[str, bytes]:
    """Two recordings, one of them hostile; returns what was dropped."""
    dropped = {}
    for name, source in (("visit.wav", SAMPLES[0]), ("notes.wav", None)):
        target = config.paths.inbox / name
        if source is None:
            target.write_bytes(b"this is no audio at all")
        else:
            shutil.copy(source, target)
        dropped[name] = target.read_bytes()
    return dropped


def assert_nothing_lost_or_doubled(config: Config, dropped: dict[str, bytes]) -> None:
    found = {job["name"]: job for job in jobs(config)}
    assert {name: found[name]["state"] for name in found} == {
        "visit.wav": found["visit.wav"]["state"],
        "notes.wav": "quarantined",
    }
    assert found["visit.wav"]["state"] in ("done", "needs_review")
    assert not list(config.paths.inbox.iterdir()), "the originals are gone once everything is durable"
    for name, content in dropped.items():
        copy = config.paths.spool / "recordings" / found[name]["recording"]
        assert copy.read_bytes() == content, "our copy has the bytes that were dropped"
    assert len(list((config.paths.spool / "recordings").iterdir())) == len(dropped)
    assert not list((config.paths.spool / "tmp").iterdir())
    assert not list(config.paths.samples.iterdir())
    assert {path.name for path in config.paths.outbox.iterdir()} == {
        f"visit{ending}" for ending in (".txt", ".srt", ".vtt", ".json")
    }
    assert {path.name for path in config.paths.quarantine.iterdir()} == {"notes.wav", "notes.error.json"}
    with closing(sqlite3.connect(config.paths.database)) as database:
        assert database.execute("SELECT count(*) FROM transcripts").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM recordings").fetchone() == (2,)
    assert medasrd("db", "check", config=config).returncode == 0


@pytest.mark.parametrize("point", INTAKE + WORK)
def test_killed_at_a_step_everything_goes_on_after_a_restart(config: Config, point: str) -> None:
    dropped = drop(config)
    with DaemonProcess(config, crash_point=point) as daemon:
        assert daemon.until_dead() == -signal.SIGKILL
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: all_delivered(config, 2), what="both recordings are delivered")
        assert daemon.stop() == 0
    assert_nothing_lost_or_doubled(config, dropped)


def test_killed_again_and_again_at_random_times_everything_ends_as_it_should(config: Config) -> None:
    dropped = drop(config)
    chance = random.Random(7)
    for _ in range(5):
        with DaemonProcess(config) as daemon:
            try:
                daemon.process.wait(chance.uniform(0.5, 12.0))
            except Exception:
                daemon.process.kill()
                daemon.until_dead()
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: all_delivered(config, 2), what="both recordings are delivered")
        daemon.stop()
    assert_nothing_lost_or_doubled(config, dropped)


def test_the_model_process_killed_in_the_middle_of_its_work_is_replaced(config: Config) -> None:
    import psutil

    shutil.copy(SAMPLES[0], config.paths.inbox / "visit.wav")
    with DaemonProcess(config) as daemon:
        daemon.until(
            lambda: any(job["state"] == "transcribing" for job in jobs(config)) or all_delivered(config, 1),
            what="the model has a recording",
        )
        for child in psutil.Process(daemon.process.pid).children():
            if "daemon.engine" in " ".join(child.cmdline()):
                child.kill()
        daemon.until(lambda: all_delivered(config, 1), what="the recording is delivered all the same")
        assert daemon.stop() == 0
    (job,) = jobs(config)
    assert job["state"] in ("done", "needs_review")


def test_a_clean_stop_counts_no_attempt(config: Config) -> None:
    shutil.copy(SAMPLES[0], config.paths.inbox / "visit.wav")
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: len(jobs(config)) == 1, what="the recording is received")
        assert daemon.stop() == 0
    (job,) = jobs(config)
    assert job["state"] in ("received", "retry", "done", "needs_review")
    assert job["attempts"] == (1 if job["state"] in ("done", "needs_review") else 0)


def test_a_database_restored_from_an_older_backup_takes_its_recordings_in_again(config: Config, tmp_path: Path) -> None:
    medasrd("db", "upgrade", config=config)
    older = Path(medasrd("db", "backup", config=config).stdout.strip())
    write_wav(config.paths.inbox / "later.wav", noise(2.0, level=0.001))
    assert medasrd("scan", config=config, check=False).returncode == 0
    for name in ("medasr.db", "medasr.db-wal", "medasr.db-shm"):
        (config.paths.state / name).unlink(missing_ok=True)
    shutil.copy(older, config.paths.database)
    medasrd("scan", config=config, check=False)
    (job,) = medasrd_json("jobs", "list", config=config)
    assert job["name"].startswith("recovered-")
    assert job["state"] == "no_speech"
