"""Recordings of real speech with their references: the medical speech dataset where it is at hand, else the samples."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import tell
from benchmarks.options import ROOT, Options
from medasr.audio import normalize, read_normalized
from medasr.speech_sets import UNLIKE, path_of
from medasr.types import SAMPLE_RATE

#: The medical speech dataset, in the schema of its Kaggle publication; recordings may be WAV or FLAC.
MEDICAL_SPEECH = ROOT.parent / "shared" / "data" / "medical-speech"
SAMPLES = ROOT / "samples"
AUDIO = (".wav", ".flac", ".mp3", ".ogg")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A recording and what is said in it."""

    path: Path
    reference: str


@dataclass(frozen=True, kw_only=True)
class Normalized:
    """Its samples as the decoder hands them to the model: a file of 16 kHz mono float32."""

    spoken: Spoken
    pcm: Path
    seconds: float


def recordings(options: Options, full: int, quick: int) -> list[Spoken]:
    """So many recordings, spread over the whole set; fewer if there are not so many."""
    count = options.count or options.pick(full, quick)
    folder = options.recordings or MEDICAL_SPEECH
    found = _dataset(folder) if (folder / "overview-of-recordings.csv").is_file() else []
    if not found:
        tell(f"{folder} has no recordings: the synthetic samples are used, and too few of them to say much")
        found = sample_recordings()
    return spread(found, count)


def spread(found: Sequence[Spoken], count: int) -> list[Spoken]:
    """So many of them, from all over the list; all if there are no more."""
    step = max(1, len(found) // count)
    return list(found[::step][:count])


def normalized(spoken: Sequence[Spoken], folder: Path) -> list[Normalized]:
    """Decode recordings into a folder, which is made if need be."""
    folder.mkdir(exist_ok=True)
    made = []
    for number, recording in enumerate(spoken):
        pcm = folder / f"{number}.f32"
        source = os.open(recording.path, os.O_RDONLY | os.O_CLOEXEC)
        sink = os.open(pcm, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            normalize(source, sink)
        finally:
            os.close(source)
            os.close(sink)
        made.append(Normalized(spoken=recording, pcm=pcm, seconds=len(read_normalized(pcm)) / SAMPLE_RATE))
    return made


def invented(least: float, most: float = float("inf")) -> list[Spoken]:
    """Consultations, dictations, calls and talk in synthetic voices, of so many seconds; no adapter of ours has learned from them."""
    import soundfile

    manifest = path_of(UNLIKE)
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    spoken = [Spoken(path=manifest.parent / row["audio"], reference=row["text"]) for row in rows]
    return [one for one in spoken if least <= soundfile.info(one.path).duration < most]


def sample_recordings() -> list[Spoken]:
    """The samples that come with the sources."""
    return [
        Spoken(path=path, reference=path.with_suffix(".txt").read_text(encoding="utf-8"))
        for path in sorted(SAMPLES.iterdir())
        if path.suffix in AUDIO
    ]


def _dataset(folder: Path) -> list[Spoken]:
    lying = {path.stem: path for path in sorted(folder.rglob("*")) if path.suffix in AUDIO}
    with (folder / "overview-of-recordings.csv").open(encoding="utf-8", newline="") as stream:
        rows = [(Path(row["file_name"]).stem, row["phrase"]) for row in csv.DictReader(stream)]
    return [Spoken(path=lying[stem], reference=phrase) for stem, phrase in rows if stem in lying]
