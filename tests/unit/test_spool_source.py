"""The original: opened without being fooled, removed only while it is still what was copied."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.intake.arrival import Changed, IgnoreCode, NotTaken
from daemon.intake.source import Removed, open_arrival, remove_source, sync_folders
from tests.support.intake import arrival_of


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "ward").mkdir(parents=True)
    return tmp_path / "inbox"


@pytest.fixture
def source(inbox: Path) -> Path:
    (inbox / "ward" / "a.wav").write_bytes(b"spoken")
    return inbox / "ward" / "a.wav"


def refuse(number: int):
    def call(*_, **__):
        raise OSError(number, os.strerror(number))

    return call


def test_a_file_is_opened_for_reading(source, inbox):
    with os.fdopen(open_arrival(arrival_of(source, inbox)), "rb") as file:
        assert file.read() == b"spoken"


def test_a_file_that_is_gone_has_vanished(source, inbox):
    arrival = arrival_of(source, inbox)
    source.unlink()
    with pytest.raises(NotTaken) as raised:
        open_arrival(arrival)
    assert raised.value.code is IgnoreCode.VANISHED
    source.parent.rmdir()
    with pytest.raises(NotTaken) as raised:
        open_arrival(arrival)
    assert raised.value.code is IgnoreCode.VANISHED


def link_to_other(path: Path) -> None:
    other = path.with_name("other.wav")
    other.write_bytes(b"secret")
    path.symlink_to(other)


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


@pytest.mark.parametrize(
    "replacement",
    [lambda path: path.write_bytes(b"spoken"), link_to_other, os.mkfifo, Path.mkdir, bind_socket],
    ids=["file", "link", "fifo", "folder", "socket"],
)
def test_whatever_was_put_in_its_place_is_neither_opened_nor_removed(source, inbox, replacement):
    """And nothing blocks: opening a FIFO would wait for its writer for ever."""
    arrival = arrival_of(source, inbox)
    source.rename(inbox / "kept.wav")  # keeps the inode from being used again
    replacement(source)
    with pytest.raises(Changed):
        open_arrival(arrival)
    assert remove_source(arrival) is Removed.SOURCE_CHANGED
    assert os.path.lexists(source)


def test_a_folder_swapped_for_a_link_is_not_entered(source, inbox, tmp_path):
    arrival = arrival_of(source, inbox)
    (inbox / "ward").rename(tmp_path / "elsewhere")
    (inbox / "ward").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotTaken):
        open_arrival(arrival)
    assert remove_source(arrival) is not Removed.REMOVED
    assert (tmp_path / "elsewhere" / "a.wav").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, IgnoreCode.PERMISSION),
        (errno.EPERM, IgnoreCode.PERMISSION),
        (errno.EBUSY, IgnoreCode.BUSY),
        (errno.ETXTBSY, IgnoreCode.BUSY),
        (errno.EIO, IgnoreCode.BUSY),
        (errno.ESTALE, IgnoreCode.VANISHED),
    ],
)
def test_a_refusal_says_why(source, inbox, monkeypatch, number, code):
    arrival = arrival_of(source, inbox)
    monkeypatch.setattr(os, "open", refuse(number))
    with pytest.raises(NotTaken) as raised:
        open_arrival(arrival)
    assert raised.value.code is code
    assert "a.wav" not in str(raised.value)


def test_an_original_is_removed(source, inbox):
    assert remove_source(arrival_of(source, inbox)) is Removed.REMOVED
    assert not source.exists()


def test_an_original_somebody_else_removed_is_fine(source, inbox):
    arrival = arrival_of(source, inbox)
    source.unlink()
    assert remove_source(arrival) is Removed.VANISHED


def test_an_original_written_to_since_is_not_removed(source, inbox):
    arrival = arrival_of(source, inbox)
    with source.open("ab") as file:
        file.write(b" more")
    assert remove_source(arrival) is Removed.SOURCE_CHANGED
    assert source.read_bytes() == b"spoken more"


@pytest.mark.parametrize(
    ("number", "removed"),
    [(errno.EROFS, Removed.PERMISSION), (errno.EPERM, Removed.PERMISSION), (errno.EBUSY, Removed.BUSY)],
)
def test_an_original_that_may_not_be_removed_stays_and_is_reported(source, inbox, monkeypatch, number, removed):
    monkeypatch.setattr(os, "unlink", refuse(number))
    assert remove_source(arrival_of(source, inbox)) is removed
    assert source.exists()


def test_each_folder_is_synced_once_and_failing_is_no_drama(inbox, source, monkeypatch):
    arrivals = []
    for name in ("b.wav", "c.wav", "ward/d.wav"):
        (inbox / name).write_bytes(b"x")
        arrivals.append(arrival_of(inbox / name, inbox))
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sync_folders(arrivals)
    assert len(synced) == 2
    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    sync_folders(arrivals)


def test_a_crash_point_kills_only_when_armed_by_its_name():
    program = "from daemon.crashpoint import crash_point; crash_point('after_link'); print('alive')"
    outcomes = {}
    for armed in ("after_link", "after_copy", ""):
        environment = {**os.environ, "MEDASRD_CRASH_POINT": armed}
        outcome = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
        outcomes[armed] = (outcome.returncode, outcome.stdout)
    assert outcomes == {"after_link": (-9, b""), "after_copy": (0, b"alive\n"), "": (0, b"alive\n")}
