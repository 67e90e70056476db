"""Recordings as long, or as many, as a benchmark wants to drop into an inbox, made of those that are there."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.consultations import join
from benchmarks.speech import Spoken, normalized
from medasr.audio import read_normalized
from medasr.types import SAMPLE_RATE

#: What is longer is this said again and again.
_JOINED_SECONDS = 600.0


def write_long(folder: Path, spoken: Sequence[Spoken], seconds: float) -> float:
    """A WAV file of recordings joined to a consultation, as long as that or a little longer; return its seconds.

    It is written piece by piece: an hour is no more in memory than ten minutes.
    """
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as decoded:
        parts = normalized(spoken, Path(decoded))
        joined = join(parts, min(seconds, _JOINED_SECONDS), Path(decoded) / "joined.f32")
        samples = read_normalized(joined.pcm)
        written = 0
        with soundfile.SoundFile(
            folder / "long.wav", "w", samplerate=SAMPLE_RATE, channels=1, format="WAV", subtype="PCM_16"
        ) as file:
            while written < seconds * SAMPLE_RATE:
                file.write(samples)
                written += len(samples)
    return written / SAMPLE_RATE


def write_many(folder: Path, spoken: Sequence[Spoken], count: int) -> float:
    """So many WAV files of a short recording each, no two alike, since the same bytes are taken once; return the seconds of all."""
    written = 0
    with tempfile.TemporaryDirectory(prefix="medasr-benchmark-") as decoded:
        parts = normalized(spoken, Path(decoded))
        for number, part in zip(range(count), cycle(parts), strict=False):
            samples = np.concatenate([np.zeros(number, dtype=np.float32), read_normalized(part.pcm)])
            soundfile.write(folder / f"{number:05d}.wav", samples, SAMPLE_RATE, subtype="PCM_16")
            written += len(samples)
    return written / SAMPLE_RATE
