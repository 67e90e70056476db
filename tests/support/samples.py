"""The synthetic consultations that come with the repository."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent.parent / "samples"
SAMPLES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".wav", ".flac", ".ogg", ".mp3"))


def reference(sample: Path) -> str:
    """What is said in a sample."""
    return sample.with_suffix(".txt").read_text(encoding="utf-8")
