"""Hours of audio in flat memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.recordings import pcm16, voice, wav_bytes

MEASURE = """
import os, sys
from medasr.audio import normalize
facts = normalize(os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[1] + ".f32", os.O_RDWR | os.O_CREAT, 0o600))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(facts.seconds, status["VmHWM"].split()[0])
"""


def write_minutes(path: Path, minutes: int) -> Path:
    """A second of voice, over and over."""
    body = pcm16(voice(1.0)) * 60 * minutes
    path.write_bytes(wav_bytes(body))
    return path


def peak_memory(path: Path, seconds: float) -> int:
    """KiB that a process of its own needs at most to normalize a recording of this length."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        (sys.executable, "-c", MEASURE, path),
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    length, peak = done.stdout.split()
    assert float(length) == seconds
    assert path.with_name(path.name + ".f32").stat().st_size == seconds * 16_000 * 4
    return int(peak)


def test_an_hour_needs_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    minute = peak_memory(write_minutes(tmp_path / "minute.wav", 1), 60)
    hour = peak_memory(write_minutes(tmp_path / "hour.wav", 60), 3600)
    assert hour - minute < 8 * 1024
