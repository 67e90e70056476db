"""What all benchmarks are told."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from medasr import packs
from medasr.packs.installation import InstalledModel

ROOT = Path(__file__).resolve().parents[1]
#: Weights are fetched once and kept; `make clean` removes them.
CACHE = ROOT / ".cache"
MODELS = CACHE / "models"

_Size = TypeVar("_Size", int, float)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How thorough to be, and on what."""

    quick: bool  #: small sizes and few repetitions: shows that a benchmark works, not what it measures
    models: tuple[str, ...] = ("whisper-tiny.en", "whisper-base")
    recordings: Path | None = (
        None  #: folder in the schema of the medical speech dataset; None for the default or the samples
    )
    count: int | None = None  #: recordings to use; None for what the benchmark thinks right
    hour: bool = False  #: compare programs on an hour of speech as well

    def pick(self, full: _Size, quick: _Size) -> _Size:
        """A size, a length in seconds, or a number of repetitions."""
        return quick if self.quick else full


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))


def installed(name: str) -> InstalledModel:
    """A model, fetched if need be."""
    return packs.pull(name, MODELS, progress=lambda _what, _done, _total: None)
