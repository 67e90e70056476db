"""The original in the inbox: opened without being fooled, and removed only while it is still what was copied.

Every access goes down from the inbox folder by folder without following a symbolic link, and what is found at the end has
to be the very file that was seen before: whoever may write to the inbox may swap things under us at any moment.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from daemon.crashpoint import crash_point
from daemon.intake.arrival import Arrival, Changed, IgnoreCode, NotTaken, fingerprint, refusal

logger = logging.getLogger(__name__)

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO that was put in the file's place would wait for a writer for ever.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Removed(StrEnum):
    """What became of an original whose copy and row are durable."""

    REMOVED = "REMOVED"
    VANISHED = "VANISHED"  # somebody else removed it: fine
    SOURCE_CHANGED = "SOURCE_CHANGED"  # something new lies there: left alone, it will be taken as a further recording
    PERMISSION = "PERMISSION"  # we may not remove it: left, to be tried again
    BUSY = "BUSY"  # left, to be tried again


def open_arrival(arrival: Arrival) -> int:
    """Open a file that a scan found and return the descriptor, which the caller closes.

    Raise NotTaken if it is gone, refused or busy; Changed if another file, or something that is no file, is there now.
    """
    try:
        with _folder_of(arrival) as folder:
            descriptor = os.open(arrival.name, _OPEN_FILE, dir_fd=folder)
        with _closing_on_error(descriptor):
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) != (arrival.device, arrival.inode):
                raise Changed
    except OSError as error:
        code = refusal(error)
        raise (Changed() if code is IgnoreCode.CHANGED else NotTaken(code)) from None
    return descriptor


def remove_source(arrival: Arrival) -> Removed:
    """Remove the original of a recording whose copy and row are durable; never what has been put in its place since.

    To be followed, once for a batch, by :func:`sync_folders`. Between the last look and the removal lie some
    microseconds in which a replacement would go unseen; no file system call closes them.
    """
    try:
        # Opening it again, unlike asking for its status, makes NFS clients fetch size and time from the server.
        descriptor = open_arrival(arrival)
    except NotTaken as error:
        return _REMAINS[error.code]
    try:
        with _folder_of(arrival) as folder:
            entry = os.stat(arrival.name, dir_fd=folder, follow_symlinks=False)
            if not fingerprint(entry) == fingerprint(os.fstat(descriptor)) == arrival.fingerprint:
                return Removed.SOURCE_CHANGED
            os.unlink(arrival.name, dir_fd=folder)
    except OSError as error:
        return _REMAINS[refusal(error)]
    finally:
        os.close(descriptor)
    crash_point("after_unlink")
    return Removed.REMOVED


_REMAINS = {
    IgnoreCode.VANISHED: Removed.VANISHED,
    IgnoreCode.CHANGED: Removed.SOURCE_CHANGED,
    IgnoreCode.PERMISSION: Removed.PERMISSION,
    IgnoreCode.BUSY: Removed.BUSY,
}


def sync_folders(arrivals: Iterable[Arrival]) -> None:
    """Make the removal of these originals durable, with one fsync a folder.

    Never raises: an original that comes back after a power failure is recognized by its content.
    """
    folders = {(arrival.inbox, arrival.folders): arrival for arrival in arrivals}
    for arrival in folders.values():
        try:
            with _folder_of(arrival) as folder:
                os.fsync(folder)
        except OSError as error:
            logger.warning("a folder of the inbox could not be synced", extra={"code": refusal(error)})


@contextmanager
def _folder_of(arrival: Arrival) -> Iterator[int]:
    """Open the folder that holds the file; the inbox itself may be a symbolic link, nothing below it."""
    folder = os.open(arrival.inbox, _OPEN_FOLDER)
    try:
        for name in arrival.folders:
            below = os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _closing_on_error(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise
