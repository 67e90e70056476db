"""Small datasets made of real files, in the layouts that people have."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One recording to be: a tone of a pitch and loudness over noise, after a moment of noise alone."""

    text: str
    speaker: str = "1"
    prompt: str = "Knee pain"
    part: str = "train"
    seconds: float = 1.5
    amplitude: float = 0.2
    noise: float = 0.001
    rate: int = RATE


def write_kaggle_folder(folder: Path, recordings: Sequence[Spoken]) -> Path:
    """Write the published layout: an overview and one WAV a recording; recording n is called n."""
    rows = []
    for number, one in enumerate(recordings):
        name = f"{number:04d}.wav"
        path = folder / "recordings" / one.part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples(one, number), one.rate)
        rows.append({"file_name": name, "phrase": one.text, "prompt": one.prompt, "speaker_id": one.speaker})
    with (folder / "overview-of-recordings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def samples(one: Spoken, seed: int) -> np.ndarray:
    """Samples, shape ``[n]``."""
    times = np.arange(round(one.seconds * one.rate)) / one.rate
    voice = one.amplitude * np.sin(2 * np.pi * (150 + 3 * seed) * times) * (times > 0.3)
    noise = one.noise * np.random.default_rng(seed).standard_normal(len(times))
    return np.clip(voice + noise, -1, 1)
