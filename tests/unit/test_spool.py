"""Our copies: complete, durable, for us alone; and none where anything went wrong."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.intake import spool as spool_module
from daemon.intake.arrival import Changed
from daemon.intake.source import open_arrival
from daemon.intake.spool import (
    Copied,
    copy_batch,
    copy_in,
    discard,
    free_bytes,
    open_recording,
    orphans,
    prepare,
    publish,
    recording_path,
    sweep,
    verify,
)
from medasr.errors import ConfigurationError, Reason, RecordingError, TransientError
from tests.support.intake import arrival_of, sha256

CONTENT = b"RIFF" + bytes(range(256)) * 100


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    prepare(tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.wav").write_bytes(CONTENT)
    return tmp_path / "inbox" / "a.wav"


def copy(spool: Path, source: Path) -> Copied:
    arrival = arrival_of(source)
    descriptor = open_arrival(arrival)
    try:
        return copy_in(spool, arrival, descriptor)
    finally:
        os.close(descriptor)


def files(spool: Path) -> list[Path]:
    return sorted(path for path in spool.rglob("*") if path.is_file())


def test_a_published_copy_has_the_bytes_and_the_hash(spool, source):
    copied = copy(spool, source)
    publish(spool, [copied])
    assert copied.sha256 == sha256(CONTENT)
    assert copied.size == len(CONTENT)
    assert files(spool) == [recording_path(spool, copied.recording_id)]
    assert recording_path(spool, copied.recording_id).read_bytes() == CONTENT
    assert source.read_bytes() == CONTENT
    verify(spool, copied.recording_id, copied.sha256)


@pytest.mark.parametrize("size", [1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20 + 17])
def test_files_of_any_size_are_copied_in_pieces(spool, source, size):
    content = os.urandom(size)
    source.write_bytes(content)
    copied = copy(spool, source)
    assert (copied.sha256, copied.size) == (sha256(content), size)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_everything_is_ours_alone_whatever_the_umask(tmp_path, source, umask):
    previous = os.umask(umask)
    try:
        prepare(tmp_path / "spool")
        publish(tmp_path / "spool", [copy(tmp_path / "spool", source)])
    finally:
        os.umask(previous)
    for path in [tmp_path / "spool", *(tmp_path / "spool").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_spool_open_to_others_is_closed(spool):
    spool.chmod(0o777)
    prepare(spool)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/tmp")], ids=["file", "link"])
def test_a_spool_that_is_no_folder_is_refused(tmp_path, make):
    make(tmp_path / "spool")
    with pytest.raises(ConfigurationError, match="must be a folder"):
        prepare(tmp_path / "spool")


def test_a_spool_folder_of_another_user_is_refused(spool, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigurationError, match="another user"):
        prepare(spool)


def test_a_spool_replaced_by_a_link_is_not_written_through(spool, source, tmp_path):
    (spool / "tmp").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (spool / "tmp").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransientError):
        copy(spool, source)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("change", ["append", "truncate", "touch"])
def test_an_original_changed_after_the_scan_is_not_copied(spool, source, change):
    arrival = arrival_of(source)
    descriptor = open_arrival(arrival)
    if change == "append":
        source.write_bytes(CONTENT + b"more")
    elif change == "truncate":
        os.truncate(source, 10)
    else:
        os.utime(source, ns=(1, 1))
    with pytest.raises(Changed):
        copy_in(spool, arrival, descriptor)
    os.close(descriptor)
    assert files(spool) == []


@pytest.mark.parametrize("change", ["append", "truncate", "patch"])
def test_an_original_changed_while_it_is_copied_leaves_nothing(spool, source, monkeypatch, change):
    """A recorder that writes on, one that starts over, and one that patches the header when it is done."""
    content = os.urandom(3 * 2**20)
    source.write_bytes(content)
    arrival = arrival_of(source)
    descriptor = open_arrival(arrival)
    real_write = os.write
    done = []

    def write_and_change(target, data):
        if not done:
            done.append(True)
            if change == "append":
                with source.open("ab") as file:
                    file.write(b"more")
            elif change == "truncate":
                os.truncate(source, 2**20 + 5)
            else:
                with source.open("r+b") as file:
                    file.write(b"HEAD")
                os.utime(source, ns=(7, 7))
        return real_write(target, data)

    monkeypatch.setattr(os, "write", write_and_change)
    with pytest.raises(Changed):
        copy_in(spool, arrival, descriptor)
    os.close(descriptor)
    assert files(spool) == []


def test_a_write_that_takes_only_a_part_is_continued(spool, source, monkeypatch):
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda target, data: real_write(target, data[:1000]))
    copied = copy(spool, source)
    monkeypatch.undo()
    publish(spool, [copied])
    verify(spool, copied.recording_id, sha256(CONTENT))


def test_a_full_disk_leaves_nothing_and_says_what_to_do(spool, source, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TransientError, match="make room") as raised:
        copy(spool, source)
    assert source.name not in str(raised.value)
    assert files(spool) == []


def test_several_files_are_copied_at_a_time_each_with_its_own_outcome(spool, source):
    sources = []
    for number in range(20):
        path = source.with_name(f"{number}.wav")
        path.write_bytes(bytes([number]) * 1000)
        sources.append(arrival_of(path))
    opened = [(arrival, open_arrival(arrival)) for arrival in sources]
    opened[7] = (replace(sources[7], size=999), opened[7][1])
    results = copy_batch(spool, opened)
    for _, descriptor in opened:
        os.close(descriptor)
    assert isinstance(results.pop(7), Changed)
    assert [result.sha256 for result in results] == [sha256(bytes([n]) * 1000) for n in range(20) if n != 7]


def test_a_copy_never_takes_the_place_of_another(spool, source):
    copied = copy(spool, source)
    occupied = recording_path(spool, copied.recording_id)
    occupied.write_bytes(b"another recording")
    with pytest.raises(TransientError):
        publish(spool, [copied])
    assert occupied.read_bytes() == b"another recording"


def test_publishing_twice_does_not_harm_what_is_published(spool, source):
    copied = copy(spool, source)
    publish(spool, [copied])
    with pytest.raises(TransientError):
        publish(spool, [copied])
    verify(spool, copied.recording_id, copied.sha256)


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_a_batch_is_published_whole_or_not_at_all(spool, source, monkeypatch, call):
    copies = [copy(spool, source) for _ in range(3)]
    real, calls = getattr(os, call), []

    def fail_at_last(*arguments, **options):
        calls.append(arguments)
        if len(calls) == (3 if call == "link" else 1):
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, fail_at_last)
    with pytest.raises(TransientError):
        publish(spool, copies)
    assert files(spool) == []


def test_a_batch_costs_one_sync_of_the_folder(spool, source, monkeypatch):
    copies = [copy(spool, source) for _ in range(64)]
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    publish(spool, copies)
    assert len(synced) == 1


def test_copies_not_needed_are_discarded_published_or_not(spool, source):
    kept, published, unpublished = copy(spool, source), copy(spool, source), copy(spool, source)
    publish(spool, [kept, published])
    discard(spool, [published.recording_id, unpublished.recording_id, "0" * 32])
    assert files(spool) == [recording_path(spool, kept.recording_id)]


def test_unfinished_copies_are_swept_at_start(spool, source):
    finished = copy(spool, source)
    publish(spool, [finished])
    copy(spool, source), copy(spool, source)
    assert sweep(spool) == 2
    assert files(spool) == [recording_path(spool, finished.recording_id)]


def test_copies_without_a_row_are_found_and_hashed_again(spool, source):
    known, unknown = copy(spool, source), copy(spool, source)
    publish(spool, [known, unknown])
    (spool / "recordings" / "stranger.txt").write_bytes(b"x")
    assert list(orphans(spool, {known.recording_id})) == [unknown]


def test_one_unreadable_copy_does_not_hide_the_other_orphans(spool, source):
    unknown = copy(spool, source)
    publish(spool, [unknown])
    (spool / "recordings" / ("0" * 32)).symlink_to(source)
    assert list(orphans(spool, ())) == [unknown]


def test_a_missing_copy_is_lost(spool):
    with pytest.raises(RecordingError) as raised:
        verify(spool, "0" * 32, sha256(b""))
    assert raised.value.reason is Reason.LOST


def test_an_altered_copy_is_lost(spool, source):
    copied = copy(spool, source)
    publish(spool, [copied])
    with recording_path(spool, copied.recording_id).open("r+b") as file:
        file.write(b"X")
    with pytest.raises(RecordingError, match="sha256") as raised:
        verify(spool, copied.recording_id, copied.sha256)
    assert raised.value.reason is Reason.LOST


def test_a_copy_the_disk_does_not_give_now_is_not_lost(spool, source, monkeypatch):
    copied = copy(spool, source)
    publish(spool, [copied])

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(spool_module.hashlib, "file_digest", fail)
    with pytest.raises(TransientError):
        verify(spool, copied.recording_id, copied.sha256)
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(TransientError):
        open_recording(spool, copied.recording_id)


def test_a_copy_is_opened_for_reading(spool, source):
    copied = copy(spool, source)
    publish(spool, [copied])
    with os.fdopen(open_recording(spool, copied.recording_id), "rb") as file:
        assert file.read() == CONTENT


def test_free_space_is_known(tmp_path):
    assert free_bytes(tmp_path) > 0
