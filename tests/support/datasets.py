"""Small datasets of given samples in the published layout."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.recordings import Samples, voice, write_wav

_TEXTS = ("My knee hurts.", "I feel a sharp pain in my chest")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One recording and what the overview says of it; all are of the part test."""

    name: str
    samples: Samples
    text: str = "My knee hurts."
    rate: int = 16_000
    encoding: str = "PCM_16"
    speaker: str = "44176037"
    prompt: str = "Knee pain"


def spoken(count: int) -> list[Entry]:
    """So many good recordings of different sound, with two texts in turn, of which one ends in a full stop."""
    return [
        Entry(name=f"u{number:02d}", samples=voice(1.0, seed=number), text=_TEXTS[number % 2])
        for number in range(count)
    ]


def write_kaggle(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write ``overview-of-recordings.csv`` and ``recordings/test/NAME.wav``."""
    recordings = folder / "recordings" / "test"
    recordings.mkdir(parents=True, exist_ok=True)
    for one in entries:
        write_wav(recordings / f"{one.name}.wav", one.samples, one.rate, one.encoding)
    with (folder / "overview-of-recordings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("file_name", "phrase", "prompt", "speaker_id"))
        writer.writerows((f"{one.name}.wav", one.text, one.prompt, one.speaker) for one in entries)
    return folder
