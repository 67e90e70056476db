"""The real daemon, as a stranger would meet it: files in, transcripts out, everything else still served."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from daemon.assembly import opened
from daemon.cli.session import reading
from daemon.config import Config
from daemon.store.schema import AuditRow
from tests.conftest import write_config
from tests.support.daemon_process import DaemonProcess, all_delivered, jobs, medasrd, medasrd_json
from tests.support.recordings import HOSTILE, noise, write_wav
from tests.support.samples import SAMPLES

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.whisper,
    pytest.mark.usefixtures("tiny_whisper"),
    pytest.mark.timeout(600),
]


def everything_under(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in (folder, *folder.rglob("*"))]


def test_samples_become_transcripts_with_terms_times_and_search(config: Config) -> None:
    for sample in SAMPLES:
        shutil.copy(sample, config.paths.inbox)
    with DaemonProcess(config) as daemon:
        daemon.until_ready()
        daemon.until(lambda: all_delivered(config, len(SAMPLES)), what="all samples are delivered")
        status = medasrd_json("status", config=config)
        assert status["daemon"]["model"]["base"] == "whisper-tiny.en"
        assert daemon.stop() == 0
        assert "STOPPING=1" in daemon.notifications()
    for sample in SAMPLES:
        document = json.loads((config.paths.outbox / f"{sample.stem}.json").read_text())
        assert document["segments"], sample
        assert {"drug", "symptom"} <= {term["category"] for term in document["terms"]}, sample
        for before, after in zip(document["segments"], document["segments"][1:], strict=False):
            assert before["start"] <= before["end"] <= after["end"] + 0.01
        assert document["segments"][-1]["end"] <= document["audio"]["seconds"] + 0.5
    found = medasrd_json("search", "ibuprofen", config=config)
    assert found
    assert medasrd("db", "check", config=config).returncode == 0


def test_an_urgent_recording_comes_out_before_those_that_were_queued_first(config: Config) -> None:
    inbox = config.paths.inbox
    (inbox / "urgent").mkdir()
    with opened(config) as service:
        for names in ([inbox / sample.name for sample in SAMPLES[:2]], [inbox / "urgent" / SAMPLES[2].name]):
            for name in names:
                shutil.copy(SAMPLES[0].parent / name.name, name)
            taken = 0
            while taken < len(names):
                taken += service.intake.turn()
    assert [job["priority"] for job in jobs(config)] == ["urgent", "ordinary", "ordinary"]
    assert medasrd("scan", config=config).returncode == 0
    with reading(config) as session:
        query = select(AuditRow.recording_id).where(AuditRow.action.in_(("done", "needs_review")))
        ended = list(session.scalars(query.order_by(AuditRow.id)))
    by_priority = {job["recording"]: job["priority"] for job in jobs(config)}
    assert [by_priority[recording] for recording in ended] == ["urgent", "ordinary", "ordinary"]
    document = json.loads((config.paths.outbox / f"{SAMPLES[2].stem}.json").read_text())
    assert document["recording"]["label"] == "urgent"


def test_a_folder_of_hostile_files_is_sorted_out_and_everything_else_is_served(home: Path) -> None:
    config = write_config(home, intake={"settle_seconds": 0.3, "rescan_seconds": 0.2, "min_free_bytes": 0})
    inbox = config.paths.inbox
    reasons = {}
    for number, hostile in enumerate(HOSTILE):
        name = f"hostile-{number}.wav"
        hostile.write(inbox / name)
        if (inbox / name).stat().st_size:
            reasons[name] = str(hostile.reason)
    (inbox / "empty.wav").touch()
    os.mkfifo(inbox / "fifo.wav")
    (inbox / "symlink.wav").symlink_to("/etc/passwd")
    (inbox / "folder.wav").mkdir()
    (inbox / ".hidden.wav").write_bytes(b"x")
    (inbox / "half.wav.part").write_bytes(b"x")
    (inbox / "letter.docx").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(inbox, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket.wav")
        os.close(folder)
    odd = [
        b"caf\xe9.wav",
        b"-rf.wav",
        b"$(touch pwned).wav",
        b"new\nline.wav",
        "\u202egnp.wav".encode(),
        b"n" * 251 + b".wav",
    ]
    for number, name in enumerate(odd):
        write_wav(inbox / "plain.tmp", noise(1.0, level=0.001, seed=number))
        (inbox / "plain.tmp").rename(inbox / os.fsdecode(name))
    shutil.copy(SAMPLES[0], inbox / "visit.wav")

    ended = medasrd("scan", "--json", config=config, check=False)
    assert ended.returncode == 3
    found = jobs(config)
    assert {job["name"]: job["reason"] for job in found if job["name"].startswith("hostile")} == reasons
    (visit,) = [job for job in found if job["name"] == "visit.wav"]
    assert visit["state"] in ("done", "needs_review")
    quiet = [job for job in found if job["name"] != "visit.wav" and not job["name"].startswith("hostile")]
    assert [job["state"] for job in quiet] == ["no_speech"] * len(odd)
    assert len({job["output_name"] for job in found}) == len(found)
    left = json.loads(ended.stdout)["left_in_inbox"]
    for code in ("FIFO", "SYMLINK", "FOLDER", "HIDDEN", "TEMPORARY", "EXTENSION", "SOCKET"):
        assert left[code] == 1, code
    assert not (Path.cwd() / "pwned").exists()
    assert (inbox / "symlink.wav").is_symlink()


def test_nothing_that_belongs_to_a_patient_reaches_a_log_an_argument_or_another_user(config: Config) -> None:
    old = os.umask(0)
    try:
        shutil.copy(SAMPLES[0], config.paths.inbox / "CANARY-Jane-Doe.wav")
        (config.paths.inbox / "CANARY-Jane-Doe.json").write_text('{"patient": "CANARY-metadata"}')
        (config.paths.inbox / "CANARY-broken.wav").write_bytes(b"CANARY-bytes" * 100)
        with DaemonProcess(config) as daemon:
            daemon.until(lambda: all_delivered(config, 2), what="both are delivered")
            environment = Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
            arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
            daemon.stop()
    finally:
        os.umask(old)
    log = daemon.log.read_text()
    assert b"CANARY" not in environment + arguments
    assert "CANARY" not in log
    text = json.loads((config.paths.outbox / "CANARY-Jane-Doe.json").read_text())["text"]
    for sentence in text.split(". "):
        assert sentence not in log
    assert "ibuprofen" not in log
    for path in everything_under(config.paths.state, config.paths.outbox, config.paths.quarantine):
        if path.is_relative_to(config.paths.models):
            continue
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, f"{path} is open to others: {mode:o}"


def test_a_second_daemon_on_the_same_home_is_refused_and_the_first_goes_on(config: Config) -> None:
    with DaemonProcess(config) as daemon:
        daemon.until_ready()
        refused = medasrd("scan", config=config, check=False)
        assert refused.returncode == 75
        assert "already works" in refused.stderr
        assert daemon.process.poll() is None


def test_missing_weights_are_refused_before_anything_is_taken(home: Path) -> None:
    config = write_config(home, paths={"models": home / "none"})
    shutil.copy(SAMPLES[0], config.paths.inbox / "visit.wav")
    refused = medasrd("scan", config=config, check=False)
    assert refused.returncode == 1
    assert "medasrd models pull" in refused.stderr
    assert (config.paths.inbox / "visit.wav").exists()


def test_altered_weights_are_refused_before_anything_is_taken(home: Path, tiny_whisper: Path) -> None:
    shutil.copytree(tiny_whisper, home / "models" / tiny_whisper.name)
    with (home / "models" / tiny_whisper.name / "model.safetensors").open("r+b") as weights:
        weights.seek(1_000_000)
        weights.write(b"\xff")
    config = write_config(home, paths={"models": home / "models"})
    shutil.copy(SAMPLES[0], config.paths.inbox / "visit.wav")
    assert medasrd("scan", config=config, check=False).returncode == 1
    assert (config.paths.inbox / "visit.wav").exists()


def test_the_inbox_vanishes_and_comes_back_while_the_daemon_runs(config: Config) -> None:
    with DaemonProcess(config) as daemon:
        daemon.until_ready()
        config.paths.inbox.rmdir()
        daemon.until(
            lambda: medasrd_json("status", config=config)["inbox"]["problem"] == "MISSING",
            what="the trouble shows in status",
        )
        config.paths.inbox.mkdir()
        shutil.copy(SAMPLES[0], config.paths.inbox / "visit.wav")
        daemon.until(lambda: all_delivered(config, 1), what="the recording is delivered")


def test_commands_reach_the_running_daemon(config: Config) -> None:
    (config.paths.inbox / "broken.wav").write_bytes(b"no audio")
    with DaemonProcess(config) as daemon:
        daemon.until(lambda: all_delivered(config, 1), what="it is in quarantine")
        (job,) = jobs(config)
        medasrd("quarantine", "release", job["recording"][:8], config=config)
        daemon.until(lambda: len(history(config)) == 2, what="it was tried again")
        assert [line["by"] for line in released(config)] == [medasrd_user()]
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.stop() == 0


def history(config: Config) -> list[dict[str, str]]:
    (job,) = jobs(config)
    lines = medasrd_json("jobs", "show", job["recording"], config=config)["history"]
    return [line for line in lines if line["what"] == "quarantined"]


def released(config: Config) -> list[dict[str, str]]:
    (job,) = jobs(config)
    lines = medasrd_json("jobs", "show", job["recording"], config=config)["history"]
    return [line for line in lines if line["what"] == "received" and line["by"] != "daemon"]


def medasrd_user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def test_transcribe_prints_and_stores_nothing(config: Config) -> None:
    printed = medasrd("transcribe", SAMPLES[0], "--json", config=config)
    document = json.loads(printed.stdout)
    assert document["text"]
    assert document["terms"]
    assert not config.paths.database.exists()
