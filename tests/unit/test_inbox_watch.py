"""The watcher: a hint that comes early, and never the reason why something is missed."""

from __future__ import annotations

import errno
import logging
import threading
from pathlib import Path

import pytest
from watchdog.observers.api import BaseObserver

from daemon.intake import inbox as inbox_module
from daemon.intake.ignore import InboxRules
from daemon.intake.inbox import InboxWatch, WatchState, scan
from daemon.intake.mounts import Mount
from tests.support.intake import FakeClock

PATIENCE = 20.0  # seconds until a hint that should come counts as missing


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def wake() -> threading.Event:
    return threading.Event()


def identity(inbox: Path) -> tuple[int, int] | None:
    return scan(inbox, InboxRules(extensions=("wav",))).identity


@pytest.fixture
def watch(inbox, wake):
    watch = InboxWatch(inbox, wake)
    yield watch
    watch.stop()


def test_a_new_file_wakes(watch, inbox, wake):
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    wake.clear()
    (inbox / "a.wav").write_bytes(b"x")
    assert wake.wait(PATIENCE)


def test_a_file_renamed_into_the_inbox_wakes(watch, inbox, wake, tmp_path):
    (tmp_path / "a.wav.part").write_bytes(b"x")
    watch.refresh(identity(inbox))
    wake.clear()
    (tmp_path / "a.wav.part").rename(inbox / "a.wav")
    assert wake.wait(PATIENCE)


def test_a_file_in_a_new_sub_folder_wakes(watch, inbox, wake):
    watch.refresh(identity(inbox))
    (inbox / "ward").mkdir()
    assert wake.wait(PATIENCE)
    wake.clear()
    (inbox / "ward" / "a.wav").write_bytes(b"x")
    assert wake.wait(PATIENCE)


def test_starting_to_watch_wakes_because_something_may_have_come_before(watch, inbox, wake):
    watch.refresh(identity(inbox))
    assert wake.is_set()


def test_an_inbox_replaced_by_another_folder_is_watched_anew(watch, inbox, wake, tmp_path):
    watch.refresh(identity(inbox))
    inbox.rename(tmp_path / "away")
    inbox.mkdir()
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    wake.clear()
    (inbox / "a.wav").write_bytes(b"x")
    assert wake.wait(PATIENCE)


def test_an_inbox_that_vanishes_and_returns_is_watched_again(watch, inbox, wake):
    watch.refresh(identity(inbox))
    inbox.rmdir()
    assert watch.refresh(identity(inbox)) is WatchState.FAILED
    inbox.mkdir()
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    wake.clear()
    (inbox / "a.wav").write_bytes(b"x")
    assert wake.wait(PATIENCE)


def test_the_same_folder_keeps_its_watch(watch, inbox, wake):
    watch.refresh(identity(inbox))
    wake.clear()
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    assert not wake.is_set()


def test_a_watcher_whose_threads_died_is_replaced(watch, inbox, wake):
    watch.refresh(identity(inbox))
    watch._observer.stop()
    watch._observer.join()
    wake.clear()
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    assert wake.is_set()


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (errno.ENOSPC, WatchState.LIMIT),
        (errno.EMFILE, WatchState.LIMIT),
        (errno.ENFILE, WatchState.LIMIT),
        (errno.EACCES, WatchState.FAILED),
    ],
)
def test_without_a_watcher_the_rescans_remain_and_it_is_tried_again_later(inbox, wake, monkeypatch, number, state):
    clock = FakeClock()
    tries = []

    def start(observer):
        tries.append(clock())
        raise OSError(number, "no")

    monkeypatch.setattr(BaseObserver, "start", start)
    watch = InboxWatch(inbox, wake, clock=clock, retry_seconds=60)
    for _ in range(10):
        assert watch.refresh(identity(inbox)) is state
        clock.advance(10)
    assert [tried - tries[0] for tried in tries] == [0, 60]
    assert not wake.is_set()


def test_a_share_is_not_watched_but_read(inbox, wake, monkeypatch):
    monkeypatch.setattr(inbox_module, "mount_of", lambda _: Mount(point=inbox, kind="cifs"))
    watch = InboxWatch(inbox, wake)
    assert watch.refresh(identity(inbox)) is WatchState.REMOTE
    assert watch._observer is None


def test_polling_can_be_demanded_and_forbidden(inbox, wake, monkeypatch):
    monkeypatch.setattr(inbox_module, "mount_of", lambda _: Mount(point=inbox, kind="cifs"))
    assert InboxWatch(inbox, wake, polling="always").refresh(identity(inbox)) is WatchState.RESCANS
    watch = InboxWatch(inbox, wake, polling="never")
    assert watch.refresh(identity(inbox)) is WatchState.WATCHING
    watch.stop()


def test_the_watcher_writes_no_file_name_into_any_log(watch, inbox, wake, caplog):
    with caplog.at_level(logging.DEBUG):
        watch.refresh(identity(inbox))
        wake.clear()
        (inbox / "DOE^JANE.wav").write_bytes(b"x")
        assert wake.wait(PATIENCE)
    assert "DOE" not in caplog.text
