"""The small English Whisper, and what tests speak to it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import numpy as np
import soundfile

from medasr import packs
from medasr.types import SAMPLE_RATE
from medasr.whisper.model import ModelOptions

if TYPE_CHECKING:
    from medasr.types import Waveform

ROOT = Path(__file__).parents[2]


@cache
def tiny_english() -> ModelOptions:
    """Options to load whisper-tiny.en as it is on the CPU; fetched when it is not in the cache yet."""
    installed = packs.pull("whisper-tiny.en", ROOT / ".cache" / "models", progress=lambda _what, _done, _total: None)
    return ModelOptions(
        path=installed.path,
        base_id=installed.name,
        base_revision=installed.revision,
        base_sha256=installed.weights_sha256,
        precision="fp32",
        device="cpu",
        # One thread never waits for another: on a busy machine that is many times faster.
        threads=1,
    )


def read_mono(recording: Path) -> Waveform:
    """A recording as the daemon hands it over, but for its level: mono at 16 kHz."""
    samples, rate = soundfile.read(recording, dtype="float32", always_2d=True)
    mono = librosa.resample(samples.mean(axis=1), orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    return mono.astype(np.float32)


@cache
def sample(name: str) -> tuple[Waveform, str]:
    """One of the sample consultations, and what is said in it."""
    (recording,) = (path for path in (ROOT / "samples").glob(f"{name}.*") if path.suffix in {".wav", ".flac", ".mp3"})
    return read_mono(recording), (ROOT / "samples" / f"{name}.txt").read_text(encoding="utf-8")
