"""Delivery: a file is complete or not there, another recording's file is never touched, and nothing hidden is left behind."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon import outbox
from daemon.outbox import Folder, deliver_quarantined, deliver_transcript, withdraw_quarantined
from daemon.store import jobs, recordings, transcripts
from daemon.store.connection import Store
from daemon.store.schema import Job, TranscriptRow
from medasr.errors import Reason, TransientError
from tests.support.stores import NOW, copy, later, open_store, result

ENDINGS = (".txt", ".srt", ".vtt", ".json")
BYTES = b"RIFF what was recorded"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path / "people")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Our copy in the spool."""
    path = tmp_path / "spool"
    path.write_bytes(BYTES)
    path.chmod(0o600)
    return path


def transcribed(store: Store, name: str = "visit.wav", text: str = "Take aspirin.", content: str = "") -> TranscriptRow:
    entry = copy(name, content=content)
    with store.write() as session:
        recordings.receive(session, [entry], now=NOW)
        job = jobs.of_recording(session, entry.id)
        jobs.claim(session, job.id, owner="t", lease=later(hours=1) - NOW, now=NOW)
        transcripts.complete(session, job.id, entry.id, result(text), now=NOW)
    with store.read() as session:
        found = transcripts.latest(session, entry.id)
        assert found is not None
        return found


def quarantined(store: Store, name: str = "visit.wav", stem: str = "visit", content: str = "") -> Job:
    entry = replace(copy(name, content=content), stem=stem)
    with store.write() as session:
        recordings.receive(session, [entry], now=NOW)
        job = jobs.of_recording(session, entry.id)
        jobs.quarantine(session, job.id, Reason.BAD_FORMAT, now=NOW)
        return job


def names(folder: Folder) -> list[str]:
    return sorted(path.name for path in folder.path.iterdir()) if folder.path.exists() else []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class FullDisk:
    """From the given call of a function of ``os`` on, the disk is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, function: str, call: int) -> None:
        real = getattr(os, function)
        calls = iter(range(1, 1000))

        def full(*args: object, **kwargs: object) -> object:
            if next(calls) >= call:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        monkeypatch.setattr(outbox.os, function, full)


class TestTranscripts:
    def test_four_files_appear_under_the_name_it_was_dropped_with(self, store: Store, folder: Folder) -> None:
        assert deliver_transcript(folder, transcribed(store)) == "visit"
        assert names(folder) == sorted(f"visit{ending}" for ending in ENDINGS)
        assert (folder.path / "visit.txt").read_text() == "Take aspirin.\n"

    def test_the_json_is_the_last_to_appear(
        self, store: Store, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order: list[str] = []
        rename = Path.rename
        monkeypatch.setattr(Path, "rename", lambda path, to: (order.append(Path(to).suffix), rename(path, to))[1])
        deliver_transcript(folder, transcribed(store))
        assert order == list(ENDINGS)

    @pytest.mark.parametrize("function", ["open", "fchmod", "fsync"])
    @pytest.mark.parametrize("call", [1, 2, 3, 4])
    def test_a_disk_that_fills_up_leaves_complete_files_or_none(
        self, store: Store, folder: Folder, monkeypatch: pytest.MonkeyPatch, function: str, call: int
    ) -> None:
        transcript = transcribed(store)
        with monkeypatch.context() as patched:
            FullDisk(patched, function, call)
            with pytest.raises(TransientError, match=r"paths\.outbox = .* \(ENOSPC\)"):
                deliver_transcript(folder, transcript)
        assert names(folder) == sorted(f"visit{ending}" for ending in ENDINGS[: call - 1])
        assert deliver_transcript(folder, transcript) == "visit"
        assert names(folder) == sorted(f"visit{ending}" for ending in ENDINGS)

    def test_what_a_crash_left_half_written_is_replaced(self, store: Store, folder: Folder) -> None:
        folder.prepare()
        (folder.path / ".visit.txt.partial").write_text("Take asp")
        deliver_transcript(folder, transcribed(store))
        assert names(folder) == sorted(f"visit{ending}" for ending in ENDINGS)

    def test_a_link_laid_under_the_hidden_name_is_not_followed(
        self, store: Store, folder: Folder, tmp_path: Path
    ) -> None:
        folder.prepare()
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (folder.path / ".visit.txt.partial").symlink_to(victim)
        (folder.path / "visit.srt").symlink_to(victim)
        deliver_transcript(folder, transcribed(store))
        assert victim.read_text() == "mine"
        assert not (folder.path / "visit.srt").is_symlink()

    def test_delivered_again_they_replace_their_own_files(self, store: Store, folder: Folder) -> None:
        transcript = transcribed(store)
        deliver_transcript(folder, transcript)
        (folder.path / "visit.txt").write_text("edited")
        assert deliver_transcript(folder, transcript) == "visit"
        assert (folder.path / "visit.txt").read_text() == "Take aspirin.\n"

    @pytest.mark.parametrize(
        "content", ['{"recording": {"id": "somebody else"}}', "no json", "[]", "{}", '{"recording": 1}']
    )
    def test_under_a_name_that_is_taken_the_id_is_appended(self, store: Store, folder: Folder, content: str) -> None:
        folder.prepare()
        (folder.path / "visit.json").write_text(content)
        (folder.path / "visit.txt").write_text("theirs")
        transcript = transcribed(store)
        name = deliver_transcript(folder, transcript)
        assert name == f"visit-{transcript.recording_id[:8]}"
        assert (folder.path / "visit.json").read_text() == content
        assert (folder.path / "visit.txt").read_text() == "theirs"
        assert json.loads((folder.path / f"{name}.json").read_text())["recording"]["id"] == transcript.recording_id

    def test_a_folder_under_the_name_is_not_in_the_way(self, store: Store, folder: Folder) -> None:
        folder.prepare()
        (folder.path / "visit.json").mkdir()
        assert deliver_transcript(folder, transcribed(store)).startswith("visit-")

    def test_a_folder_that_is_away_is_waited_for(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "mount").write_text("no folder at the moment")
        with pytest.raises(TransientError, match="ENOTDIR"):
            deliver_transcript(Folder(path=tmp_path / "mount" / "outbox"), transcribed(store))


class TestModes:
    @pytest.mark.parametrize(("readable", "file", "directory"), [(False, 0o600, 0o700), (True, 0o640, 0o750)])
    def test_files_are_for_the_service_or_for_its_group_whatever_the_umask(
        self, store: Store, folder: Folder, original: Path, readable: bool, file: int, directory: int
    ) -> None:
        folder = replace(folder, group_readable=readable)
        before = os.umask(0)
        try:
            deliver_transcript(folder, transcribed(store))
            deliver_quarantined(folder, quarantined(store, "call.mp3", "call"), original)
        finally:
            os.umask(before)
        assert mode(folder.path) == directory
        assert len(names(folder)) == 6
        assert {mode(path) for path in folder.path.iterdir()} == {file}


class TestQuarantine:
    def test_the_bytes_lie_beside_the_reason(self, store: Store, folder: Folder, original: Path) -> None:
        job = quarantined(store)
        assert deliver_quarantined(folder, job, original) == "visit"
        assert names(folder) == ["visit.error.json", "visit.wav"]
        assert (folder.path / "visit.wav").read_bytes() == BYTES
        document = json.loads((folder.path / "visit.error.json").read_text())
        assert (document["reason"], document["recording"]["id"]) == ("BAD_FORMAT", job.recording_id)

    @pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
    def test_where_no_link_can_be_made_the_bytes_are_copied(
        self, store: Store, folder: Folder, original: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def no_link(*_: object) -> None:
            raise OSError(code, "no link")

        monkeypatch.setattr(outbox.os, "link", no_link)
        deliver_quarantined(folder, quarantined(store), original)
        copied = folder.path / "visit.wav"
        assert (copied.read_bytes(), mode(copied), copied.stat().st_nlink) == (BYTES, 0o600, 1)

    def test_a_copy_that_does_not_fit_is_not_left_half_done(
        self, store: Store, folder: Folder, original: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_link(*_: object) -> None:
            raise OSError(errno.EXDEV, "no link")

        monkeypatch.setattr(outbox.os, "link", no_link)
        FullDisk(monkeypatch, "fsync", 1)
        with pytest.raises(TransientError, match=r"paths\.quarantine = .* \(ENOSPC\)"):
            deliver_quarantined(folder, quarantined(store), original)
        assert names(folder) == []

    def test_delivered_again_after_a_crash_nothing_hidden_is_left(
        self, store: Store, folder: Folder, original: Path
    ) -> None:
        job = quarantined(store)
        deliver_quarantined(folder, job, original)
        deliver_quarantined(folder, job, original)
        assert names(folder) == ["visit.error.json", "visit.wav"]

    @pytest.mark.parametrize(
        ("name", "ending"),
        [
            ("visit.WAV", ".wav"),
            ("visit", ".recording"),
            ("visit.", ".recording"),
            ("visit.w v", ".recording"),
            ("visit.wav\\u000a", ".recording"),
            ("visit.ｗａｖ", ".recording"),
            ("visit.averylongending", ".recording"),
            ("../../etc/visit.mp3", ".mp3"),
            (".wav", ".recording"),
        ],
    )
    def test_only_a_plain_ending_is_kept(
        self, store: Store, folder: Folder, original: Path, name: str, ending: str
    ) -> None:
        deliver_quarantined(folder, quarantined(store, name), original)
        assert names(folder) == sorted(["visit.error.json", f"visit{ending}"])

    def test_a_lost_copy_leaves_the_reason_alone(self, store: Store, folder: Folder, tmp_path: Path) -> None:
        deliver_quarantined(folder, quarantined(store), tmp_path / "gone")
        assert names(folder) == ["visit.error.json"]

    def test_another_recording_s_files_are_left_alone(self, store: Store, folder: Folder, original: Path) -> None:
        folder.prepare()
        (folder.path / "visit.error.json").write_text('{"recording": {"id": "somebody else"}}')
        (folder.path / "visit.wav").write_bytes(b"theirs")
        job = quarantined(store)
        name = deliver_quarantined(folder, job, original)
        assert name == f"visit-{job.recording_id[:8]}"
        assert (folder.path / "visit.wav").read_bytes() == b"theirs"
        assert (folder.path / f"{name}.wav").read_bytes() == BYTES


class TestWithdrawal:
    def test_a_released_recording_leaves_the_quarantine_and_our_copy_stays(
        self, store: Store, folder: Folder, original: Path
    ) -> None:
        job = quarantined(store)
        deliver_quarantined(folder, job, original)
        withdraw_quarantined(folder, job)
        assert names(folder) == []
        assert original.read_bytes() == BYTES

    def test_files_that_belong_to_another_recording_stay(self, store: Store, folder: Folder, original: Path) -> None:
        deliver_quarantined(folder, quarantined(store), original)
        withdraw_quarantined(folder, quarantined(store, content="other bytes", stem="visit.other"))
        other = quarantined(store, content="third")
        other.recording.output_name = "visit"
        withdraw_quarantined(folder, other)
        assert names(folder) == ["visit.error.json", "visit.wav"]

    def test_nothing_delivered_yet_is_nothing_to_withdraw(self, store: Store, folder: Folder) -> None:
        withdraw_quarantined(folder, quarantined(store))

    def test_a_quarantine_that_cannot_be_written_to_is_said_and_the_recording_stays_in_it(
        self, store: Store, folder: Folder, original: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = quarantined(store)
        deliver_quarantined(folder, job, original)

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(TransientError, match="EROFS"):
            withdraw_quarantined(folder, job)
