"""The inbox: what lies in it, and a hint when something new may have come.

Reading the inbox again (:func:`scan`) is the only truth. The watcher (:class:`InboxWatch`) merely lets that happen earlier:
of 80,000 files made at once inotify reported 6,907, and of what other machines write to a share it reports nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from watchdog.events import (
    DirCreatedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from daemon.intake.arrival import Arrival, IgnoreCode, Ignored, fingerprint, refusal
from daemon.intake.ignore import SIDECAR_SUFFIX, InboxRules, judge_name, judge_status, trusted_owners
from daemon.intake.mounts import mount_of
from daemon.intake.names import split_suffix

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class InboxProblem(StrEnum):
    """Why the inbox as a whole cannot be served; everything resumes by itself once it is gone."""

    MISSING = "MISSING"
    NOT_A_FOLDER = "NOT_A_FOLDER"
    PERMISSION = "PERMISSION"  # we may not read it
    READ_ONLY = "READ_ONLY"  # we may not remove what we have taken
    UNREACHABLE = "UNREACHABLE"  # the share or the disk does not answer properly


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One look at the inbox."""

    files: tuple[Arrival, ...] = ()  #: what may become recordings, empty files included
    ignored: tuple[Ignored, ...] = ()  #: at most ``rules.max_ignored``
    ignored_counts: Mapping[IgnoreCode, int] = field(default_factory=dict)  #: of all ignored
    identity: tuple[int, int] | None = None  #: (device, inode) of the inbox; None if it could not be opened
    problem: InboxProblem | None = None
    complete: bool = True  #: False if there were more than ``rules.max_files``


def scan(inbox: Path, rules: InboxRules) -> Scan:
    """Read the inbox and its sub-folders once, opening no file and following no symbolic link below ``inbox``.

    Never raises for what it finds: files and folders may come and go meanwhile; an inbox that cannot be read gives
    a Scan with its ``problem``.
    """
    try:
        folder = os.open(inbox, _OPEN_FOLDER)
    except OSError as error:
        return Scan(problem=_problem(error))
    try:
        status = os.fstat(folder)
        reading = _Reading(inbox, rules, trusted_owners([os.geteuid(), status.st_uid]))
        problem = reading.read(folder, ())
        writable = os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True)
    except OSError as error:
        return Scan(problem=_problem(error))
    finally:
        os.close(folder)
    return Scan(
        files=tuple(reading.files),
        ignored=tuple(reading.ignored),
        ignored_counts=reading.counts,
        identity=(status.st_dev, status.st_ino),
        problem=problem or (None if writable else InboxProblem.READ_ONLY),
        complete=len(reading.files) < rules.max_files,
    )


def _problem(error: OSError) -> InboxProblem:
    match error.errno:
        case errno.ENOENT:
            return InboxProblem.MISSING
        case errno.ENOTDIR | errno.ELOOP:
            return InboxProblem.NOT_A_FOLDER
        case errno.EACCES | errno.EPERM:
            return InboxProblem.PERMISSION
        case _:
            return InboxProblem.UNREACHABLE


class _Reading:
    """A scan in progress."""

    def __init__(self, inbox: Path, rules: InboxRules, owners: frozenset[int]) -> None:
        self.files: list[Arrival] = []
        self.ignored: list[Ignored] = []
        self.counts: Counter[IgnoreCode] = Counter()
        self._inbox = inbox
        self._rules = rules
        self._owners = owners

    def read(self, folder: int, folders: tuple[str, ...]) -> InboxProblem | None:
        """Read one open folder and those below it; return why its listing broke off, if it did."""
        below: list[str] = []
        sidecars: dict[str, Arrival] = {}
        first = len(self.files)
        problem = None
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._look(entry, folders, below, sidecars)
        except OSError as error:
            problem = _problem(error)
        if sidecars:
            self._pair(first, sidecars)
        for name in below:
            self._descend(folder, folders, name)
        return problem

    def _look(
        self, entry: os.DirEntry[str], folders: tuple[str, ...], below: list[str], sidecars: dict[str, Arrival]
    ) -> None:
        name = entry.name
        code = judge_name(name)
        if code is not None:
            return self._ignore(folders, name, code)
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._ignore(folders, name, refusal(error))
        takes = self._rules.takes(name)
        if stat.S_ISDIR(status.st_mode) and not takes:
            below.append(name)
        elif (code := judge_status(status, self._owners)) is not None:
            self._ignore(folders, name, code)
        elif name.lower().endswith(SIDECAR_SUFFIX):
            sidecars[name] = self._arrival(folders, name, status)
        elif not takes:
            self._ignore(folders, name, IgnoreCode.EXTENSION)
        elif len(self.files) < self._rules.max_files:
            self.files.append(self._arrival(folders, name, status))
        return None

    def _descend(self, folder: int, folders: tuple[str, ...], name: str) -> None:
        if len(folders) >= self._rules.max_depth:
            return self._ignore(folders, name, IgnoreCode.TOO_DEEP)
        try:
            opened = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError:
            return self._ignore(folders, name, IgnoreCode.UNREADABLE_FOLDER)
        try:
            if self.read(opened, (*folders, name)) is not None:
                self._ignore(folders, name, IgnoreCode.UNREADABLE_FOLDER)
        finally:
            os.close(opened)
        return None

    def _pair(self, first: int, sidecars: dict[str, Arrival]) -> None:
        """Give each recording of a folder (those from ``first`` on) its metadata; NAME.wav.json goes before NAME.json.

        Of several recordings that share a NAME.json the first by name gets it.
        """
        whose = {sidecar[: -len(SIDECAR_SUFFIX)]: sidecar for sidecar in sidecars}
        for index in sorted(range(first, len(self.files)), key=lambda index: self.files[index].name):
            name = self.files[index].name
            sidecar = whose.pop(name, None) or whose.pop(split_suffix(name)[0], None)
            if sidecar is not None:
                self.files[index] = replace(self.files[index], sidecar=sidecars.pop(sidecar))
        for stray in sidecars.values():
            self._ignore(stray.folders, stray.name, IgnoreCode.SIDECAR_WAITING)

    def _arrival(self, folders: tuple[str, ...], name: str, status: os.stat_result) -> Arrival:
        device, inode, size, mtime_ns = fingerprint(status)
        return Arrival(
            inbox=self._inbox, folders=folders, name=name, device=device, inode=inode, size=size, mtime_ns=mtime_ns
        )

    def _ignore(self, folders: tuple[str, ...], name: str, code: IgnoreCode) -> None:
        self.counts[code] += 1
        if len(self.ignored) < self._rules.max_ignored:
            self.ignored.append(Ignored(path=self._inbox.joinpath(*folders, name), code=code))


class WatchState(StrEnum):
    """How changes in the inbox are noticed; in every state the rescans find everything."""

    WATCHING = "WATCHING"  # inotify wakes us
    RESCANS = "RESCANS"  # by configuration: intake.polling = "always"
    REMOTE = "REMOTE"  # the inbox is on a share, of which inotify reports nothing
    LIMIT = "LIMIT"  # the system's inotify instances or watches are used up (sysctl fs.inotify)
    FAILED = "FAILED"  # the inbox cannot be watched: missing, unreadable ...


class _Wake(FileSystemEventHandler):
    """Whatever happens, all there is to do is to look."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - events are not to be trusted
        self._event.set()


class InboxWatch:
    """Sets an event when something may have come, so that the next rescan happens at once; never raises.

    A watch stays with a folder that is moved away and dies with one that is deleted, so it is built anew whenever the
    inbox is another folder than before.
    """

    def __init__(
        self,
        inbox: Path,
        wake: threading.Event,
        *,
        polling: Literal["auto", "always", "never"] = "auto",
        clock: Callable[[], float] = time.monotonic,
        retry_seconds: float = 60.0,
    ) -> None:
        logging.getLogger("watchdog").setLevel(logging.WARNING)  # below, it writes the names of files
        self._inbox = inbox
        self._handler = _Wake(wake)
        self._wake = wake
        self._polling = polling
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._retry_at = 0.0
        self._identity: tuple[int, int] | None = None
        self._observer: BaseObserver | None = None
        self._state = WatchState.RESCANS

    def refresh(self, identity: tuple[int, int] | None) -> WatchState:
        """Given the inbox's identity from the latest scan, watch that folder; to be called after every scan."""
        alive = self._observer is not None and self._is_alive(self._observer)
        due = self._observer is None and self._state is not WatchState.RESCANS and self._clock() >= self._retry_at
        if identity != self._identity or (self._observer is not None and not alive) or due:
            self.stop()
            self._identity = identity
            self._retry_at = self._clock() + self._retry_seconds
            self._state = self._start()
        return self._state

    def stop(self) -> None:
        """Stop watching."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def _start(self) -> WatchState:
        if self._polling == "always":
            return WatchState.RESCANS
        if self._identity is None:
            return WatchState.FAILED
        mount = mount_of(self._inbox) if self._polling == "auto" else None
        if mount is not None and mount.is_remote:
            return WatchState.REMOTE
        try:
            self._observer = self._observe()
        except OSError as error:
            return WatchState.LIMIT if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENFILE) else WatchState.FAILED
        self._wake.set()  # for what came before the watch was there
        return WatchState.WATCHING

    def _observe(self) -> BaseObserver:
        # What we do ourselves (opening, reading, removing) must not wake us.
        kinds: list[type[FileSystemEvent]] = [FileCreatedEvent, DirCreatedEvent, FileMovedEvent, FileClosedEvent]
        observer = Observer()
        try:
            observer.schedule(self._handler, str(self._inbox), recursive=True, event_filter=kinds)
            observer.start()
        except OSError:
            observer.stop()
            raise
        return observer

    @staticmethod
    def _is_alive(observer: BaseObserver) -> bool:
        return (
            observer.is_alive() and bool(observer.emitters) and all(emitter.is_alive() for emitter in observer.emitters)
        )
