"""Our own copies of the recordings, under ids instead of names: nothing outside is needed once a copy is here.

::

    spool/tmp/ID          being written; worth nothing, swept at start
    spool/recordings/ID   complete and durable: copied, hashed, fsynced, then linked

``link`` is used where others rename, because ``rename`` silently overwrites. All folders are 0700 and all files 0600
whatever the umask. The spool has to be on a local disk; the inbox need not be.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.crashpoint import crash_point
from daemon.intake.arrival import Arrival, Changed, IgnoreCode, NotTaken, fingerprint, refusal
from medasr.errors import ConfigurationError, Reason, RecordingError, TransientError

logger = logging.getLogger(__name__)

_TEMPORARY = "tmp"
_RECORDINGS = "recordings"
_CHUNK_BYTES = 1 << 20
_COPIES_AT_A_TIME = 8
_ID = re.compile(r"[0-9a-f]{32}\Z")

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True, slots=True)
class Copied:
    """A complete copy of a recording's bytes in the spool."""

    recording_id: str  #: uuid4, 32 hex digits; also the file's name
    sha256: str
    size: int  #: bytes


def prepare(spool: Path) -> None:
    """Make the spool's folders, for us alone, in the existing state directory.

    Raise ConfigurationError if one of them cannot be made or is not ours to use.
    """
    for folder in (spool, spool / _TEMPORARY, spool / _RECORDINGS):
        try:
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            with _opened(folder) as descriptor:
                if os.fstat(descriptor).st_uid != os.geteuid():
                    raise ConfigurationError(f"{folder} belongs to another user; give it to the one who runs medasrd")
                os.fchmod(descriptor, 0o700)
        except OSError as error:
            raise ConfigurationError(
                f"{folder} cannot be used ({error.strerror}); it must be a folder, no symbolic link, that we may write to"
            ) from error


def recording_path(spool: Path, recording_id: str) -> Path:
    """Give the path of a recording's copy."""
    return spool / _RECORDINGS / recording_id


def free_bytes(path: Path) -> int:
    """Give the free space, in bytes, that we may use on the file system of ``path``."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def copy_in(spool: Path, arrival: Arrival, descriptor: int) -> Copied:
    """Copy an open original into the spool, hashed and fsynced; the descriptor stays open, its position untouched.

    Raise Changed if the original is not, or does not stay, as ``arrival`` says; NotTaken if it cannot be read;
    TransientError if the spool cannot be written (disk full). Then nothing is left behind.
    """
    recording_id = uuid.uuid4().hex
    with _writing(spool), _opened(spool / _TEMPORARY) as folder, ExitStack() as undo:
        _expect_unchanged(descriptor, arrival)
        copy = os.open(recording_id, _CREATE_FILE, 0o600, dir_fd=folder)
        undo.callback(_unlink, folder, recording_id)
        try:
            os.fchmod(copy, 0o600)
            digest = hashlib.sha256()
            for chunk in _chunks(descriptor, arrival.size):
                digest.update(chunk)
                _write(copy, chunk)
            os.fsync(copy)
        finally:
            os.close(copy)
        _expect_unchanged(descriptor, arrival)
        undo.pop_all()
    crash_point("after_copy")
    return Copied(recording_id=recording_id, sha256=digest.hexdigest(), size=arrival.size)


def copy_batch(spool: Path, opened: Sequence[tuple[Arrival, int]]) -> list[Copied | TransientError]:
    """Copy several open originals (see :func:`copy_in`); return for each, in order, its copy or why there is none.

    Several at a time, because the disk then makes them durable together: ten times as many a second as one by one.
    """
    with ThreadPoolExecutor(max_workers=_COPIES_AT_A_TIME, thread_name_prefix="copy") as pool:
        return list(pool.map(lambda source: _copy_or_reason(spool, *source), opened))


def _copy_or_reason(spool: Path, arrival: Arrival, descriptor: int) -> Copied | TransientError:
    try:
        return copy_in(spool, arrival, descriptor)
    except TransientError as error:
        return error


def publish(spool: Path, copied: Sequence[Copied]) -> None:
    """Make copies durable under their ids, with one fsync of the folder for all of them.

    Raise TransientError if that fails; then all of ``copied`` are gone from the spool, and the originals, which are still in
    the inbox, have to be copied again: after a failed fsync nobody knows what reached the disk.
    """
    ids = [copy.recording_id for copy in copied]
    linked: list[str] = []
    try:
        with _writing(spool), _opened(spool / _TEMPORARY) as temporary, _opened(spool / _RECORDINGS) as recordings:
            for recording_id in ids:
                os.link(recording_id, recording_id, src_dir_fd=temporary, dst_dir_fd=recordings, follow_symlinks=False)
                linked.append(recording_id)
            os.fsync(recordings)
    except TransientError:
        _remove(spool / _RECORDINGS, linked)
        _remove(spool / _TEMPORARY, ids)
        raise
    crash_point("after_link")
    _remove(spool / _TEMPORARY, ids)


def replace(spool: Path, copies: Mapping[str, str]) -> None:
    """Put published copies in the place of the recordings that they repeat, given as copy's id → recording's id.

    A recording's own copy may have been lost or altered since, and after this its repetition is removed from the inbox. Raise
    TransientError if it fails; the copies that were not moved are still there.
    """
    with _writing(spool), _opened(spool / _RECORDINGS) as recordings:
        for copy_id, recording_id in copies.items():
            with suppress(FileNotFoundError):  # moved already, before an earlier call failed
                os.rename(copy_id, recording_id, src_dir_fd=recordings, dst_dir_fd=recordings)
        if copies:
            os.fsync(recordings)


def discard(spool: Path, recording_ids: Iterable[str]) -> None:
    """Remove copies that no row of the store will ever need: duplicates, or a batch that was certainly rolled back.

    Never raises: what cannot be removed now is swept, or found by :func:`orphans`, at the next start.
    """
    ids = list(recording_ids)
    _remove(spool / _TEMPORARY, ids)
    _remove(spool / _RECORDINGS, ids)


def sweep(spool: Path) -> int:
    """Remove unfinished copies of an earlier process and return how many there were; to be called at start only."""
    names = _names(spool / _TEMPORARY)
    _remove(spool / _TEMPORARY, names)
    return len(names)


def orphans(spool: Path, known_ids: Container[str]) -> Iterator[Copied]:
    """Find complete copies without a row, hashed again, for the store to adopt; to be called at start only.

    We died between link and COMMIT (then the original is still in the inbox), or the database is an older backup.
    """
    for name in sorted(_names(spool / _RECORDINGS)):
        if name in known_ids:
            continue
        if not _ID.match(name):
            logger.warning("something that is no recording lies in the spool", extra={"code": "SPOOL_STRANGER"})
            continue
        try:
            sha256, size = _hash(_open_copy(spool, name))
        except OSError as error:
            logger.warning("a copy cannot be read", extra={"recording_id": name, "code": refusal(error)})
            continue
        yield Copied(recording_id=name, sha256=sha256, size=size)


def open_recording(spool: Path, recording_id: str) -> int:
    """Open a recording's copy and return the descriptor, which the caller closes.

    Raise RecordingError(LOST) if it is missing, TransientError if the disk does not give it now.
    """
    path = recording_path(spool, recording_id)
    try:
        return _open_copy(spool, recording_id)
    except OSError as error:
        if refusal(error) in (IgnoreCode.VANISHED, IgnoreCode.CHANGED):
            raise RecordingError(Reason.LOST, f"{path} is missing; restore it from a backup") from None
        raise TransientError(f"{path} cannot be opened ({error.strerror}); mend its permissions or its disk") from error


def verify(spool: Path, recording_id: str, sha256: str) -> None:
    """Raise RecordingError(LOST) unless a recording's copy has this hash, TransientError if it cannot be read now."""
    path = recording_path(spool, recording_id)
    try:
        found, _ = _hash(open_recording(spool, recording_id))
    except OSError as error:
        raise TransientError(f"{path} cannot be read ({error.strerror}); check its disk") from error
    if found != sha256:
        raise RecordingError(Reason.LOST, f"{path} has another sha256 than when it was taken; restore it from a backup")


def _hash(descriptor: int) -> tuple[str, int]:
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(descriptor).st_size


def _open_copy(spool: Path, recording_id: str) -> int:
    with _opened(spool / _RECORDINGS) as folder:
        return os.open(recording_id, _OPEN_FILE, dir_fd=folder)


def _chunks(descriptor: int, size: int) -> Iterator[memoryview]:
    """Read a file's ``size`` bytes, looking one byte further; raise Changed if there are fewer or more."""
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, size + 1)))
    position = 0
    while True:
        try:
            count = os.preadv(descriptor, [buffer], position)
        except OSError as error:
            raise NotTaken(refusal(error)) from None
        position += count
        if position > size or (count == 0 and position < size):
            raise Changed
        if count == 0:
            return
        yield buffer[:count]


def _expect_unchanged(descriptor: int, arrival: Arrival) -> None:
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        raise NotTaken(refusal(error)) from None
    if fingerprint(status) != arrival.fingerprint:
        raise Changed


def _write(descriptor: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


@contextmanager
def _writing(spool: Path) -> Iterator[None]:
    """Turn a failure to write our own folders into: later, and nothing is lost."""
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"{spool} cannot be written ({error.strerror}); make room or mend its disk, the inbox stays as it is"
        ) from error


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files of one of our folders, as far as possible."""
    with suppress(OSError), _opened(folder) as descriptor:
        for name in names:
            _unlink(descriptor, name)


def _unlink(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("a file in the spool could not be removed", extra={"code": refusal(error)})
