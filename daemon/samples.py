"""Normalized samples: written by the decoder, read by the model, gone when the work on their recording ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.intake import spool
from medasr.errors import TransientError

if TYPE_CHECKING:
    from daemon.decode.server import DecodeLimits
    from daemon.ports import Decoder
    from daemon.store.schema import Recording
    from medasr.types import AudioFacts


def path_of(folder: Path, job_id: int) -> Path:
    """Where a job's samples lie."""
    return folder / f"{job_id}.f32"


def sweep(folder: Path) -> None:
    """Throw away what a process that is no more left behind; to be called at start only."""
    for leftover in folder.iterdir():
        leftover.unlink()


def decode_recording(
    decoder: Decoder, limits: DecodeLimits, recording: Recording, *, spool_folder: Path, samples: Path
) -> AudioFacts:
    """Check our copy of a recording, and normalize it into the file ``samples``; return what the recording turned out to be.

    Raise RecordingError when it cannot be decoded or our copy is not what it was, TransientError when the disk is full or refuses.
    """
    spool.verify(spool_folder, recording.id, recording.sha256)
    source = spool.open_recording(spool_folder, recording.id)
    try:
        sink = _create(samples)
        try:
            return decoder.decode(source, sink, limits)
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _create(path: Path) -> int:
    """A file of its own, never an older one cut to nothing: the model may still have that mapped, and would die of it."""
    try:
        path.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "unknown")
        raise TransientError(f"{path.parent} cannot be written ({code}); make room or mend its disk") from None
