"""A decoding module whose recordings say how it shall misbehave; ``misbehave`` writes such a recording."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

from medasr import audio
from medasr.audio import AudioHeader, AudioLimits
from medasr.types import AudioFacts
from tests.support import recordings

MODULE = __name__
MARK = b"MISBEHAVE:"


def misbehave(path: Path, how: str) -> Path:
    """Write a recording that makes this module's ``normalize`` misbehave."""
    path.write_bytes(MARK + how.encode())
    return path


def inspect(source: int) -> AudioHeader:
    if not os.pread(source, 64, 0).startswith(MARK):
        return audio.inspect(source)
    return AudioHeader(
        container="WAV",
        encoding="PCM_16",
        sample_rate=16_000,
        channels=1,
        frames=None,
        declared_frames=None,
        truncated=False,
    )


def normalize(source: int, sink: int, limits: AudioLimits) -> AudioFacts:
    start = os.pread(source, 64, 0)
    if not start.startswith(MARK):
        return audio.normalize(source, sink, limits)
    return BEHAVIOURS[start.removeprefix(MARK).decode()](sink)


def _hang(sink: int) -> AudioFacts:
    while True:
        signal.pause()


def _spin(sink: int) -> AudioFacts:
    while True:
        pass


def _spin_deaf(sink: int) -> AudioFacts:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return _spin(sink)


def _hang_deaf(sink: int) -> AudioFacts:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return _hang(sink)


def _hog(sink: int) -> AudioFacts:
    hoard = []
    while True:
        hoard.append(bytearray(2**24))


def _segfault(sink: int) -> AudioFacts:
    ctypes.string_at(0)
    raise AssertionError


def _killed(sink: int) -> AudioFacts:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _quit(sink: int) -> AudioFacts:
    os._exit(0)


def _flood(sink: int) -> AudioFacts:
    while True:
        os.write(sink, bytes(2**20))


def _disk_full(sink: int) -> AudioFacts:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _blunder(sink: int) -> AudioFacts:
    raise ValueError("Jane Doe")


def _lie(sink: int) -> AudioFacts:
    source = os.memfd_create("source")
    os.write(source, recordings.wav_bytes(recordings.pcm16(recordings.tone())))
    return replace(audio.normalize(source, sink), frames="many")  # type: ignore[arg-type]


def _report_confinement(sink: int) -> AudioFacts:
    """Write into the sink what this process may still do."""
    Path(f"/proc/self/fd/{sink}").write_text(
        Path("/proc/self/limits").read_text() + Path("/proc/self/status").read_text()
    )
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


BEHAVIOURS = {
    "hang": _hang,
    "spin": _spin,
    "spin deaf": _spin_deaf,
    "hang deaf": _hang_deaf,
    "hog": _hog,
    "segfault": _segfault,
    "killed": _killed,
    "quit": _quit,
    "flood": _flood,
    "disk full": _disk_full,
    "blunder": _blunder,
    "lie": _lie,
    "report confinement": _report_confinement,
}
