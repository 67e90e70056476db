"""As SQLite is tested: the first, the second, the third ... call of the operating system fails; nothing may be lost.

The intake is the one of tests/support/intake.py, built from the real functions around a ledger in memory.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from daemon.intake.arrival import IgnoreCode
from daemon.intake.inbox import InboxProblem
from daemon.intake.source import Removed
from tests.support.intake import SETTLE, Crash, FakeClock, Intake, Ledger, at_points, open_descriptors, sha256

CONTENTS = {
    "a.wav": b"first consultation" * 100,
    "ward/b.wav": b"second consultation" * 200,
    "again.wav": b"first consultation" * 100,
    "c.mp3": os.urandom(2**20 + 3),
}
CALLS = ["open", "write", "fsync", "link", "unlink", "preadv", "fchmod", "stat", "fstat"]
POINTS = ["after_copy", "after_link", "before_commit", "after_commit", "after_unlink"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class World:
    """A home with four files in its inbox, two of them with the same bytes."""

    def __init__(self, home: Path, clock: FakeClock, hook: Callable[[str], None] = lambda _: None) -> None:
        self.home = home
        self.clock = clock
        self.hook = hook
        self.ledger = Ledger()
        for name, content in CONTENTS.items():
            path = home / "inbox" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.intake = Intake(home, self.ledger, clock, hook)

    def run(self, rounds: int = 4) -> None:
        for _ in range(rounds):
            self.intake.round()
            self.clock.advance(SETTLE)

    def restart(self) -> None:
        self.intake.close()
        self.intake = Intake(self.home, self.ledger, self.clock, self.hook)

    def check_nothing_is_lost(self) -> None:
        self.intake.check()
        for name, content in CONTENTS.items():
            path = self.home / "inbox" / name
            assert self.ledger.id_of(sha256(content)) is not None or path.read_bytes() == content

    def check_everything_is_taken(self) -> None:
        self.check_nothing_is_lost()
        assert [path for path in (self.home / "inbox").rglob("*") if path.is_file()] == []
        assert set(self.ledger.rows.values()) == set(map(sha256, CONTENTS.values()))

    def check_spool_is_tidy(self) -> None:
        kept = {path.name for path in (self.home / "spool" / "recordings").iterdir()}
        assert kept == set(self.ledger.rows)
        assert list((self.home / "spool" / "tmp").iterdir()) == []


@contextmanager
def failing(call: str, code: int, first: int, last: int | None = None) -> Iterator[Counter[str]]:
    """The calls number ``first`` to ``last`` (all from ``first`` on if None) of os.CALL fail; counts all calls."""
    real = getattr(os, call)
    count: Counter[str] = Counter()
    lock = threading.Lock()

    def maybe(*arguments, **options):
        with lock:
            count["calls"] += 1
            number = count["calls"]
        if number >= first and (last is None or number <= last):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    with patch.object(os, call, maybe):
        yield count


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", CALLS)
def test_one_failing_call_delays_but_loses_nothing(tmp_path, clock, call, code):
    number = 0
    while True:
        number += 1
        world = World(tmp_path / str(number), clock)
        with failing(call, code, number, number) as count:
            world.run()
        world.check_nothing_is_lost()
        clock.advance(300)
        world.run()
        world.check_everything_is_taken()
        world.restart()
        world.check_everything_is_taken()
        world.check_spool_is_tidy()
        world.intake.close()
        if count["calls"] < number:
            break
    assert number > 1, "the call is never made: this test tests nothing"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("call", ["write", "fsync", "link", "unlink"])
def test_a_disk_that_stays_broken_marks_nothing_as_done_and_work_resumes_when_it_is_mended(tmp_path, clock, call, code):
    for number in (1, 2, 3, 5, 8):
        world = World(tmp_path / str(number), clock)
        with failing(call, code, number):
            world.run(rounds=6)
        world.check_nothing_is_lost()
        clock.advance(300)
        world.run()
        world.check_everything_is_taken()
        world.intake.close()


@pytest.mark.parametrize("occurrence", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_dying_at_any_named_point_loses_and_doubles_nothing(tmp_path, clock, point, occurrence):
    passed: Counter[str] = Counter()

    def die(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == occurrence:
            raise Crash

    world = World(tmp_path, clock, hook=die)
    with at_points(die):
        try:
            world.run()
        except Crash:
            world.restart()
        world.check_nothing_is_lost()
        world.check_spool_is_tidy()
        world.run()
    assert passed[point] >= 1
    world.check_everything_is_taken()
    world.check_spool_is_tidy()
    world.intake.close()


@pytest.mark.parametrize("deed", ["append", "replace", "delete", "truncate"])
@pytest.mark.parametrize("point", POINTS)
def test_a_file_touched_at_any_step_is_never_taken_by_half(tmp_path, clock, point, deed):
    """Whatever a person does to a.wav meanwhile: each version that was taken is whole, and a new one is not removed."""
    path = tmp_path / "inbox" / "a.wav"
    done = []
    first = threading.Lock()  # several files are copied at a time

    def meddle(name: str) -> None:
        if name != point or not path.exists() or not first.acquire(blocking=False):
            return
        done.append(name)
        if deed == "append":
            with path.open("ab") as file:
                file.write(b" and more")
        elif deed == "replace":
            path.with_name(".new").write_bytes(b"another consultation")
            path.with_name(".new").rename(path)
        elif deed == "delete":
            path.unlink()
        else:
            os.truncate(path, 7)

    world = World(tmp_path, clock, hook=meddle)
    with at_points(meddle):
        world.run()
    world.run()
    world.intake.check()
    old = CONTENTS["a.wav"]
    new = {"append": old + b" and more", "replace": b"another consultation", "delete": old, "truncate": old[:7]}[deed]
    known = set(world.ledger.rows.values())
    assert known <= {*map(sha256, CONTENTS.values()), sha256(new)}
    assert not done or sha256(new) in known
    assert not path.exists()
    world.intake.close()


def test_the_same_bytes_twice_are_kept_once_and_both_originals_leave(tmp_path, clock):
    world = World(tmp_path, clock)
    world.run()
    world.check_everything_is_taken()
    assert len(world.ledger.rows) == len(CONTENTS) - 1
    (tmp_path / "inbox" / "later.wav").write_bytes(CONTENTS["a.wav"])
    world.run()
    world.check_everything_is_taken()
    world.check_spool_is_tidy()
    world.intake.close()


def test_the_same_name_with_new_bytes_is_a_new_recording(tmp_path, clock):
    world = World(tmp_path, clock)
    world.run()
    (tmp_path / "inbox" / "a.wav").write_bytes(b"next visit")
    world.run()
    assert world.ledger.id_of(sha256(b"next visit"))
    assert world.ledger.id_of(sha256(CONTENTS["a.wav"]))
    world.intake.close()


def test_an_original_that_may_not_be_removed_is_taken_once_and_reported(tmp_path, clock):
    world = World(tmp_path, clock)
    world.intake.round()
    clock.advance(SETTLE)
    with failing("unlink", errno.EPERM, 1):
        world.intake.round()
    assert Removed.PERMISSION in world.intake.removed
    world.check_nothing_is_lost()
    world.run()
    world.check_everything_is_taken()
    world.intake.close()


def test_a_file_that_somebody_holds_waits_while_the_others_are_served(tmp_path, clock):
    world = World(tmp_path, clock)
    real = os.open

    def held(path, *arguments, **options):
        if path == "a.wav":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return real(path, *arguments, **options)

    with patch.object(os, "open", held):
        world.run()
    assert {path.name for path in (tmp_path / "inbox").iterdir() if path.is_file()} == {"a.wav"}
    assert [item.code for item in world.intake.tracker.waiting(600)] == [IgnoreCode.BUSY]
    clock.advance(300)
    world.run()
    world.check_everything_is_taken()
    world.intake.close()


def test_the_inbox_may_vanish_and_return(tmp_path, clock):
    world = World(tmp_path, clock)
    world.intake.round()
    (tmp_path / "inbox").rename(tmp_path / "away")
    clock.advance(SETTLE)
    assert world.intake.round().problem is InboxProblem.MISSING
    (tmp_path / "inbox").mkdir()
    assert world.intake.round().problem is None
    (tmp_path / "inbox").rmdir()
    (tmp_path / "away").rename(tmp_path / "inbox")
    world.run()
    world.check_everything_is_taken()
    world.intake.close()


def test_files_already_there_at_start_must_settle_too(tmp_path, clock):
    world = World(tmp_path, clock)
    growing = tmp_path / "inbox" / "growing.wav"
    for _ in range(5):
        with growing.open("ab") as file:
            file.write(b"half ")
        world.intake.round()
        clock.advance(4)
        world.restart()  # forgets how long it has been waiting
    assert growing.exists()
    assert world.ledger.rows == {}
    world.run()
    assert world.ledger.id_of(sha256(b"half " * 5))
    world.intake.close()


def test_late_bytes_become_a_recording_of_their_own(tmp_path, clock):
    world = World(tmp_path, clock)
    with (tmp_path / "inbox" / "a.wav").open("ab", buffering=0) as recorder:
        world.run()
        recorder.write(b" and one thing more")
        world.run()
    assert world.ledger.id_of(sha256(CONTENTS["a.wav"] + b" and one thing more"))
    world.intake.check()
    world.intake.close()


def test_no_descriptor_is_left_open(tmp_path, clock):
    for call in ("open", "fstat", "write", "fsync", "link"):
        for number in range(1, 12):
            world = World(tmp_path / f"{call}{number}", clock)
            with failing(call, errno.EIO, number, number):
                world.run()
            world.intake.close()
    assert not [name for name in open_descriptors() if str(tmp_path) in name]


def test_twenty_thousand_files_at_once_are_each_taken_exactly_once(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # the disk's speed is not what is tested
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    expected = set()
    for number in range(20_000):
        content = b"%d" % number
        (inbox / f"{number}.wav").write_bytes(content)
        expected.add(sha256(content))
    intake = Intake(tmp_path, Ledger(), clock)
    intake.round()
    clock.advance(SETTLE)
    intake.round()
    assert intake.removed == [Removed.REMOVED] * 20_000
    assert set(intake.ledger.rows.values()) == expected
    assert len(intake.ledger.rows) == 20_000
    assert len(list((tmp_path / "spool" / "recordings").iterdir())) == 20_000
    assert list(inbox.iterdir()) == []
    intake.close()
