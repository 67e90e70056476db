"""People, recorders, crashes and full disks in any order: hypothesis looks for the order that loses a recording.

Real files and the real functions, on a clock that passes only when told to. Modification times are set by hand: the
machine lives through hours in milliseconds, faster than the file system's own clock ticks.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.intake import SETTLE, Crash, FakeClock, Intake, Ledger, at_points, sha256

NAMES = st.sampled_from(["a.wav", "b.wav", "c.mp3", "ward/a.wav"])
BYTES = st.binary(min_size=1, max_size=8)
POINTS = ["after_copy", "after_link", "before_commit", "after_commit", "after_unlink"]


def ignore(point: str) -> None:
    """Pass a crash point alive."""


class Recorder:
    """Holds a file in the inbox open."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("r+b", buffering=0)
        self.content = self.file.read()
        self.inode = os.fstat(self.file.fileno()).st_ino

    def write(self, content: bytes) -> None:
        self.file.write(content)
        self.content += content


class IntakeMachine(RuleBasedStateMachine):
    """What people believe lies in the inbox (``present``) against what is there, in the spool and in the ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="intake-"))
        self.inbox = self.home / "inbox"
        (self.inbox / "ward").mkdir(parents=True)
        self.clock = FakeClock()
        self.ledger = Ledger()
        self.present: dict[str, bytes] = {}
        self.changed_at: dict[str, float] = {}
        self.ever: set[str] = set()  # hashes of everything that was ever in a file
        self.mtime = 0
        self.disk_full = False
        self.recorders: dict[str, Recorder] = {}
        self.late: dict[int, str] = {}  # inode of a file taken while a recorder wrote on: hash of all it holds
        self.on_point = ignore
        self.patches = [
            at_points(self.pass_point),
            patch.object(os, "write", self.write_unless_full(os.write)),
            patch.object(os, "fsync", lambda _: None),
        ]
        for change in self.patches:
            change.__enter__()
        self.intake = self.start()

    def teardown(self) -> None:
        for name in list(self.recorders):
            self.hang_up(name)
        self.intake.close()
        for change in reversed(self.patches):
            change.__exit__(None, None, None)
        shutil.rmtree(self.home)

    def start(self) -> Intake:
        return Intake(self.home, self.ledger, self.clock, hook=self.pass_point)

    def pass_point(self, name: str) -> None:
        self.on_point(name)

    def write_unless_full(self, real):
        def write(descriptor, data):
            if self.disk_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.pass_point("while_copying")
            return real(descriptor, data)

        return write

    # What people and recorders do

    @property
    def inbox_is_there(self) -> bool:
        return self.inbox.exists()

    def settle_modification(self, target: Path | int) -> None:
        self.mtime += 1
        os.utime(target, ns=(self.mtime, self.mtime))

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES, content=BYTES)
    def drop(self, name: str, content: bytes) -> None:
        """A file is copied into the inbox, or over one that is there."""
        self.put(name, content)

    def put(self, name: str, content: bytes) -> None:
        hidden = self.inbox / ".being-written"
        hidden.write_bytes(content)
        self.settle_modification(hidden)
        hidden.rename(self.inbox / name)
        self.believe(name, content)

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES, content=BYTES)
    def append(self, name: str, content: bytes) -> None:
        """A recorder goes on writing, or begins with nothing."""
        path = self.inbox / name
        before = path.read_bytes() if path.exists() else b""
        with path.open("ab") as file:
            file.write(content)
        self.settle_modification(path)
        self.believe(name, before + content)

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES)
    def patch_header(self, name: str) -> None:
        """A recorder comes back to the beginning of its file when it is done; the size stays."""
        path = self.inbox / name
        content = path.read_bytes() if path.exists() else b""
        if content:
            patched = bytes([content[0] ^ 1]) + content[1:]
            with path.open("r+b") as file:
                file.write(patched)
            self.settle_modification(path)
            self.believe(name, patched)

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES)
    def create_empty(self, name: str) -> None:
        path = self.inbox / name
        path.write_bytes(b"")
        self.settle_modification(path)
        self.believe(name, b"")

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES, to=NAMES)
    def rename(self, name: str, to: str) -> None:
        self.check_nothing_is_lost()
        if name == to or name not in self.present:
            return
        self.hang_up(name)
        (self.inbox / name).rename(self.inbox / to)
        self.believe(to, self.present.pop(name))

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        self.hang_up(name)
        (self.inbox / name).unlink(missing_ok=True)
        self.present.pop(name, None)

    @rule()
    def inbox_vanishes_or_returns(self) -> None:
        away = self.home / "away"
        self.inbox.rename(away) if self.inbox_is_there else away.rename(self.inbox)

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES, content=BYTES)
    def record(self, name: str, content: bytes) -> None:
        """A recorder begins a file and keeps it open."""
        self.put(name, content)
        self.recorders[name] = Recorder(self.inbox / name)

    @precondition(lambda self: self.inbox_is_there and self.recorders)
    @rule(data=st.data(), content=BYTES)
    def record_more(self, data: st.DataObject, content: bytes) -> None:
        """It goes on writing, even if the file has been taken meanwhile."""
        name = data.draw(st.sampled_from(sorted(self.recorders)))
        recorder, path = self.recorders[name], self.inbox / name
        recorder.write(content)
        self.settle_modification(recorder.file.fileno())
        self.ever.add(sha256(recorder.content))
        if path.exists() and path.stat().st_ino == recorder.inode:
            self.present[name], self.changed_at[name] = recorder.content, self.clock()
        elif any(kept.arrival.inode == recorder.inode for kept in self.intake.late._kept):
            self.late[recorder.inode] = sha256(recorder.content)

    @precondition(lambda self: self.inbox_is_there)
    @rule(name=NAMES, content=BYTES, more=BYTES, data=st.data())
    def record_on_after_the_file_was_taken(self, name: str, content: bytes, more: bytes, data: st.DataObject) -> None:
        self.record(name, content)
        self.look_when_all_is_quiet()
        self.record_more(data, more)

    def hang_up(self, name: str) -> None:
        if name in self.recorders:
            self.recorders.pop(name).file.close()

    def believe(self, name: str, content: bytes) -> None:
        self.hang_up(name)
        self.present[name] = content
        self.changed_at[name] = self.clock()
        self.ever.add(sha256(content))

    # What time and machines do

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0, SETTLE, 61.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def look(self) -> None:
        self.intake.round()

    def let_everything_settle(self) -> None:
        self.intake.round()
        self.clock.advance(SETTLE)

    @rule()
    def look_when_all_is_quiet(self) -> None:
        self.let_everything_settle()
        self.intake.round()

    @rule(point=st.sampled_from(POINTS))
    def look_and_die(self, point: str) -> None:
        self.let_everything_settle()

        def die(name: str) -> None:
            if name == point:
                raise Crash

        self.on_point = die
        try:
            self.intake.round()
        except Crash:
            self.on_point = ignore
            self.restart()
        self.on_point = ignore

    @precondition(lambda self: self.inbox_is_there)
    @rule(
        point=st.sampled_from(["while_copying", *POINTS]),
        name=NAMES,
        content=BYTES,
        deed=st.sampled_from(["put", "append", "patch", "delete"]),
    )
    def look_while_somebody_meddles(self, point: str, name: str, content: bytes, deed: str) -> None:
        """With the very file that is being taken."""
        if name not in self.present:
            self.put(name, content + b"!")
        self.let_everything_settle()
        once = threading.Lock()

        def meddle(passed: str) -> None:
            if passed == point and once.acquire(blocking=False):
                if deed == "put":
                    self.put(name, content)
                elif deed == "append" and (self.inbox / name).exists():
                    self.append(name, content)
                elif deed == "patch":
                    self.patch_header(name)
                elif deed == "delete":
                    self.delete(name)

        self.on_point = meddle
        self.intake.round()
        self.on_point = ignore

    @rule()
    def restart(self) -> None:
        self.intake.close()
        self.late.clear()  # these bytes had no name any more: they end with the process
        self.intake = self.start()
        kept = {path.name for path in (self.home / "spool" / "recordings").iterdir()}
        assert kept == set(self.ledger.rows), "after a start every copy has its row, and every row its copy"
        assert list((self.home / "spool" / "tmp").iterdir()) == []

    @rule()
    def look_with_a_full_disk(self) -> None:
        self.let_everything_settle()
        rows = dict(self.ledger.rows)
        self.disk_full = True
        self.intake.round()
        self.disk_full = False
        assert self.ledger.rows == rows, "nothing is marked as done on a full disk"
        assert list((self.home / "spool" / "tmp").iterdir()) == [], "half a copy takes room on a full disk"

    @precondition(lambda self: self.inbox_is_there)
    @rule()
    def everything_quiet_is_taken_in_the_end(self) -> None:
        for _ in range(3):
            self.clock.advance(600)
            self.intake.round()
        left = {name for name, content in self.present.items() if content and (self.inbox / name).exists()}
        assert left == set()
        assert set(self.late.values()) <= set(self.ledger.rows.values()), "late bytes lost"
        self.late.clear()

    # What always holds

    @invariant()
    def check_nothing_is_lost(self) -> None:
        """What people put there is there, byte for byte, or it is a recording."""
        if not self.inbox_is_there:
            return
        for name, content in list(self.present.items()):
            path = self.inbox / name
            if path.exists():
                assert path.read_bytes() == content
            else:
                assert self.ledger.id_of(sha256(content)) is not None, "removed, and no recording"
                assert content, "an empty file was taken"
                assert self.clock() - self.changed_at[name] >= SETTLE, "taken before it had settled"
                del self.present[name]

    @invariant()
    def check_recordings_are_whole(self) -> None:
        self.intake.check()
        assert set(self.ledger.rows.values()) <= self.ever, "a recording that was never a file"


IntakeMachine.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestIntakeMachine = IntakeMachine.TestCase
