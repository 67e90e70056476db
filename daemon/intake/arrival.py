"""A file in the inbox, and why a file in the inbox is not a recording (yet)."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from daemon.intake.names import folded, printable_name
from medasr.errors import TransientError

#: (device, inode, size, mtime_ns): as long as it is the same, nobody has written to the file or put another in its place.
Fingerprint = tuple[int, int, int, int]


class IgnoreCode(StrEnum):
    """Why a file or folder in the inbox is left where it is; shown in ``medasrd status``."""

    # What it is: stays ignored until a person changes it.
    SYMLINK = "SYMLINK"  # never followed
    HARD_LINK = "HARD_LINK"  # a further name of a file whose owner is neither the inbox's nor ours
    FIFO = "FIFO"
    SOCKET = "SOCKET"
    DEVICE = "DEVICE"
    FOLDER = "FOLDER"  # a folder named like a recording
    TOO_DEEP = "TOO_DEEP"  # a folder below the deepest level that is read
    HIDDEN = "HIDDEN"  # begins with a dot: uploads often do until they are complete
    TEMPORARY = "TEMPORARY"  # .part, .tmp, .crdownload ...: not complete yet
    SYSTEM = "SYSTEM"  # left by macOS, Windows, a NAS or a synchronization program
    EXTENSION = "EXTENSION"  # not among intake.extensions
    SIDECAR_WAITING = "SIDECAR_WAITING"  # metadata without its recording
    UNREADABLE_FOLDER = "UNREADABLE_FOLDER"  # a sub-folder that we may not read
    TOO_BIG = "TOO_BIG"  # over intake.max_bytes
    NO_SPACE = "NO_SPACE"  # taking it would leave less than intake.min_free_bytes
    # What happened when it was to be taken: tried again, less and less often.
    EMPTY = "EMPTY"  # no bytes yet
    PERMISSION = "PERMISSION"  # we may not read it, or not remove it
    BUSY = "BUSY"  # somebody holds it, or reading it failed
    CHANGED = "CHANGED"  # written to or replaced while it was taken
    VANISHED = "VANISHED"  # gone before it was taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A regular file in the inbox as one look at it found it."""

    inbox: Path  #: absolute
    folders: tuple[str, ...]  #: names of the sub-folders below the inbox, as the operating system spells them
    name: str  #: undecodable bytes carried as surrogates, see :func:`os.fsencode`
    device: int
    inode: int
    size: int  #: bytes
    mtime_ns: int
    sidecar: Arrival | None = None  #: the metadata file lying beside it

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.inbox.joinpath(*self.folders, self.name)

    @property
    def name_bytes(self) -> bytes:
        """The file's name, exactly."""
        return os.fsencode(self.name)

    @property
    def label(self) -> str:
        """The sub-folder below the inbox, ``/``-separated and printable; empty at the top."""
        return "/".join(printable_name(os.fsencode(folder)) for folder in self.folders)

    def lies_in(self, folders: tuple[str, ...]) -> bool:
        """Whether it lies in the inbox's sub-folder of that path or below it, however a computer spells the name."""
        return [folded(name) for name in self.folders[: len(folders)]] == [folded(name) for name in folders]

    @property
    def fingerprint(self) -> Fingerprint:
        """What must stay the same from the first look until the original is removed."""
        return (self.device, self.inode, self.size, self.mtime_ns)


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Give the fingerprint of a file whose status was just asked for."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A file or folder left in the inbox, and why."""

    path: Path
    code: IgnoreCode

    @property
    def name_bytes(self) -> bytes:
        """The name, exactly."""
        return os.fsencode(self.path.name)


class NotTaken(TransientError):  # noqa: N818 - reads as the state it reports
    """This file could not be taken now; its code says why, and the others go on."""

    def __init__(self, code: IgnoreCode) -> None:
        super().__init__(f"a file in the inbox could not be taken ({code}); it stays there and is tried again")
        self.code = code


class Changed(NotTaken):
    """The file was written to or replaced while it was taken: wait until it is stable again."""

    def __init__(self) -> None:
        super().__init__(IgnoreCode.CHANGED)


def refusal(error: OSError) -> IgnoreCode:
    """Name what the operating system's refusal to give or remove a file means for us."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ESTALE:
            return IgnoreCode.VANISHED
        case errno.ELOOP | errno.ENXIO | errno.EISDIR:  # a symbolic link, a socket or a folder lies in its place now
            return IgnoreCode.CHANGED
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return IgnoreCode.PERMISSION
        case _:
            return IgnoreCode.BUSY
