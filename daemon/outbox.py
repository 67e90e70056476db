"""Delivery: the files in outbox and quarantine, complete or not there at all, never over another recording's."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import documents
from daemon.store.schema import Job, TranscriptRow
from medasr.errors import TransientError

#: Written in this order, so that a program that waits for the JSON finds the others in place.
TRANSCRIPT_ENDINGS = (".txt", ".srt", ".vtt", ".json")
ERROR_ENDING = ".error.json"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder that people read, and the modes of what is put there."""

    path: Path
    group_readable: bool = False

    @property
    def file_mode(self) -> int:
        """Of every file in it."""
        return 0o640 if self.group_readable else 0o600

    def prepare(self) -> None:
        """Make the folder, and set its mode whatever the umask. One that has the mode may be another user's, or read-only now."""
        self.path.mkdir(parents=True, exist_ok=True)
        mode = 0o750 if self.group_readable else 0o700
        if self.path.stat().st_mode & 0o777 != mode:
            self.path.chmod(mode)


def deliver_transcript(outbox: Folder, transcript: TranscriptRow) -> str:
    """Given a transcript with its parts, write NAME.txt, .srt, .vtt and .json; return NAME.

    Writing again replaces only files of the same recording. Raise TransientError when the disk is full or the folder is away.
    """
    document = documents.transcript_document(transcript)
    contents = {
        ".txt": documents.plain_text(transcript.segments),
        ".srt": documents.srt(transcript.segments),
        ".vtt": documents.webvtt(transcript.segments),
        ".json": _json(document),
    }
    with _transient(outbox.path, "paths.outbox"):
        outbox.prepare()
        name = _own_name(outbox.path, transcript.recording.output_name, transcript.recording_id, ".json")
        for ending in TRANSCRIPT_ENDINGS:
            _write(outbox, f"{name}{ending}", contents[ending])
        _sync(outbox.path)
    return name


def deliver_quarantined(quarantine: Folder, job: Job, original: Path) -> str:
    """Given a quarantined job and our copy of its bytes, put the bytes and NAME.error.json beside each other; return NAME."""
    with _transient(quarantine.path, "paths.quarantine"):
        quarantine.prepare()
        name = _own_name(quarantine.path, job.recording.output_name, job.recording_id, ERROR_ENDING)
        if original.exists():
            _place(quarantine, original, f"{name}{_ending(job)}")
        _write(quarantine, f"{name}{ERROR_ENDING}", _json(documents.error_document(job)))
        _sync(quarantine.path)
    return name


def withdraw_quarantined(quarantine: Folder, job: Job) -> None:
    """A person released the recording: its files leave the quarantine; our copy in the spool stays."""
    name = job.recording.output_name
    with _transient(quarantine.path, "paths.quarantine"):
        if _owner(quarantine.path / f"{name}{ERROR_ENDING}") == job.recording_id:
            (quarantine.path / f"{name}{_ending(job)}").unlink(missing_ok=True)
            (quarantine.path / f"{name}{ERROR_ENDING}").unlink(missing_ok=True)


def _own_name(folder: Path, wanted: str, recording_id: str, ending: str) -> str:
    """The wanted name, or one with the recording's id when a file of another recording stands there."""
    owner = _owner(folder / f"{wanted}{ending}")
    return wanted if owner in (None, recording_id) else f"{wanted}-{recording_id[:8]}"


def _owner(document: Path) -> str | None:
    """The recording a JSON document belongs to; an unreadable one belongs to nobody we know, so it is never replaced."""
    try:
        content: Mapping[str, Any] = json.loads(document.read_text(encoding="utf-8"))
        return str(content["recording"]["id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IsADirectoryError, PermissionError):
        return "unknown"


def _ending(job: Job) -> str:
    """The original file ending, if it is a plain one."""
    ending = Path(job.recording.name).suffix.lower()
    return ending if ending[1:].isalnum() and ending.isascii() and len(ending) <= 8 else ".recording"


def _place(folder: Folder, original: Path, name: str) -> None:
    """Link our copy under a name that people know; copy it when the folder lies on another file system."""
    with _appearing(folder, name) as partial:
        try:
            os.link(original, partial)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                raise
            with original.open("rb") as source, _create(partial, folder.file_mode) as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
        else:
            if folder.group_readable:
                partial.chmod(folder.file_mode)


def _write(folder: Folder, name: str, content: str) -> None:
    with _appearing(folder, name) as partial, _create(partial, folder.file_mode) as file:
        file.write(content.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _appearing(folder: Folder, name: str) -> Iterator[Path]:
    """Give a hidden path; what was put there gets its name when the block ends well, and goes when it does not."""
    partial = folder.path / f".{name}.partial"
    partial.unlink(missing_ok=True)
    try:
        yield partial
        partial.rename(folder.path / name)
    finally:
        # Also after a rename: between two links to one file, which a repeated delivery makes, rename(2) does nothing.
        partial.unlink(missing_ok=True)


def _create(path: Path, mode: int) -> Any:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    os.fchmod(descriptor, mode)
    return os.fdopen(descriptor, "wb")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def _transient(folder: Path, option: str) -> Iterator[None]:
    """Trouble with a folder passes (disk full, share away): say which option names it, and try again later."""
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "unknown")
        raise TransientError(f"{option} = {folder} cannot be written to ({code}); trying again") from None
