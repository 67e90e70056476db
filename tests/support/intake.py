"""A clock that obeys, and the intake as the service runs it, with a list in memory in place of the database."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from daemon.intake.arrival import Arrival, NotTaken, fingerprint
from daemon.intake.ignore import InboxRules
from daemon.intake.inbox import Scan, scan
from daemon.intake.late import LateWatch
from daemon.intake.source import Removed, open_arrival, remove_source, sync_folders
from daemon.intake.spool import Copied, copy_batch, discard, orphans, prepare, publish, sweep, verify
from daemon.intake.stability import StabilityTracker
from medasr.errors import TransientError

RULES = InboxRules(extensions=("wav", "mp3"))
SETTLE = 5.0


class Crash(BaseException):
    """The process dies here."""


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def arrival_of(path: Path, inbox: Path | None = None) -> Arrival:
    """What a scan would say of a file."""
    inbox = inbox or path.parent
    device, inode, size, mtime_ns = fingerprint(path.stat(follow_symlinks=False))
    folders = path.parent.relative_to(inbox).parts
    return Arrival(
        inbox=inbox, folders=folders, name=path.name, device=device, inode=inode, size=size, mtime_ns=mtime_ns
    )


@dataclass
class Ledger:
    """Stands for the database: what is in here has been committed, and survives a crash."""

    rows: dict[str, str] = field(default_factory=dict)  # recording id → sha256
    _ids: dict[str, str] = field(default_factory=dict)

    def enter(self, copied: Copied) -> None:
        self.rows[copied.recording_id] = copied.sha256
        self._ids[copied.sha256] = copied.recording_id

    def id_of(self, sha256: str) -> str | None:
        return self._ids.get(sha256)


class Intake:
    """The intake loop; a new one is a restarted daemon."""

    def __init__(
        self, home: Path, ledger: Ledger, clock: FakeClock, hook: Callable[[str], None] = lambda _: None
    ) -> None:
        self.inbox = home / "inbox"
        self.spool = home / "spool"
        self.ledger = ledger
        self.hook = hook
        self.tracker = StabilityTracker(SETTLE, clock)
        self.late = LateWatch(clock, SETTLE)
        self.removed: list[Removed] = []
        prepare(self.spool)
        sweep(self.spool)
        for orphan in list(orphans(self.spool, ledger.rows)):
            if ledger.id_of(orphan.sha256) is None:
                ledger.enter(orphan)
            else:
                discard(self.spool, [orphan.recording_id])

    def round(self) -> Scan:
        """Look once, and take what is due."""
        found = scan(self.inbox, RULES)
        due = self.tracker.observe(found.files)
        for start in range(0, len(due), 64):
            try:
                self._take(due[start : start + 64])
            except TransientError:  # the spool's disk: the next round tries again
                break
        self._take_late()
        return found

    def _take(self, due: list[Arrival]) -> None:
        opened = list(self._open(due))
        taken: list[tuple[Arrival, int, Copied]] = []
        failure: TransientError | None = None
        for (arrival, descriptor), result in zip(opened, copy_batch(self.spool, opened), strict=True):
            if isinstance(result, Copied):
                taken.append((arrival, descriptor, result))
                continue
            os.close(descriptor)
            if isinstance(result, NotTaken):
                self.tracker.postpone(arrival, result.code)
            else:
                failure = result
        self._enter(taken)
        if failure is not None:
            raise failure

    def _open(self, due: list[Arrival]) -> Iterator[tuple[Arrival, int]]:
        for arrival in due:
            try:
                yield arrival, open_arrival(arrival)
            except NotTaken as error:
                self.tracker.postpone(arrival, error.code)

    def _enter(self, taken: list[tuple[Arrival, int, Copied]]) -> None:
        try:
            self._commit([copied for _, _, copied in taken])
        except TransientError:
            for _, descriptor, _ in taken:
                os.close(descriptor)
            raise
        for arrival, descriptor, copied in taken:
            outcome = remove_source(arrival)
            self.removed.append(outcome)
            if outcome in (Removed.REMOVED, Removed.VANISHED):
                self.late.keep(copied.recording_id, arrival, descriptor)
            else:
                os.close(descriptor)
        sync_folders(arrival for arrival, _, _ in taken)

    def _commit(self, copies: list[Copied]) -> None:
        first: dict[str, Copied] = {}
        for copied in copies:
            if self.ledger.id_of(copied.sha256) is None:
                first.setdefault(copied.sha256, copied)
        new = list(first.values())
        discard(self.spool, {copied.recording_id for copied in copies} - {copied.recording_id for copied in new})
        publish(self.spool, new)
        self.hook("before_commit")
        for copied in new:
            self.ledger.enter(copied)
        self.hook("after_commit")

    def _take_late(self) -> None:
        for late in self.late.check():
            (result,) = copy_batch(self.spool, [(late.arrival, late.descriptor)])
            if isinstance(result, Copied):
                self._commit([result])
                self.late.keep(result.recording_id, late.arrival, late.descriptor)
            else:
                self.late.again(late)

    def close(self) -> None:
        """Let go of the descriptors, as the end of the process does."""
        for late in self.late.close():
            os.close(late.descriptor)

    def check(self) -> None:
        """Every committed recording has its bytes, once."""
        assert len(set(self.ledger.rows.values())) == len(self.ledger.rows)
        for recording_id, known in self.ledger.rows.items():
            verify(self.spool, recording_id, known)


@contextmanager
def at_points(hook: Callable[[str], None]) -> Iterator[None]:
    """Call ``hook`` with the name of every crash point that is passed."""
    with patch("daemon.intake.spool.crash_point", hook), patch("daemon.intake.source.crash_point", hook):
        yield


def open_descriptors() -> set[str]:
    """The files this process holds open."""
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
