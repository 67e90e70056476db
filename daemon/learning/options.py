"""The tables ``[training]`` and ``[learning]`` of config.toml."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from daemon.sections import Section

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


def _is_window(text: str) -> str:
    match = _HOURS.fullmatch(text)
    if text and (not match or match.groups()[:2] == match.groups()[2:]):
        raise ValueError(f'"{text}" is no window of hours; write e.g. "22:00-06:00", or nothing for any time')
    return text


class Training(Section):
    """How `medasrd train` and the learning cycle make a new version (docs/training.md)."""

    dataset: str = Field(
        "",
        description="Recordings with their true text to learn from; empty for evaluation.dataset. Its part train is used.",
    )
    reviewed: str = Field(
        "",
        description="A manifest of your own recordings whose texts a person has corrected, learned from beside the dataset; empty for none.",
    )
    recipe: Literal["medasr", "notebook"] = Field(
        "medasr",
        description="medasr: as the options below say. notebook: exactly what the notebook did, for comparison.",
    )
    precision: Literal["auto", "nf4", "bf16", "fp32"] = Field(
        "auto", description="Of the frozen weights; auto as model.precision: nf4 on CUDA, bf16 or fp32 on a CPU."
    )
    epochs: int = Field(2, ge=1, le=50, description="How often everything is heard, at most.")
    learning_rate: float = Field(5e-4, gt=0, le=0.01, description="The highest; it rises to it and falls to zero.")
    rank: int = Field(8, ge=1, le=128, description="Of each member's matrices; the adapter's is twice that.")
    members: int = Field(
        4, ge=1, le=8, description="Adapters trained from seeds of their own and averaged; the time grows with it."
    )
    batch_size: int = Field(8, ge=1, le=256, description="Of the shortest windows; fewer longer ones make a batch.")
    shortest_context: float = Field(
        10.0,
        ge=5,
        le=30,
        multiple_of=0.5,
        description="The shortest window in seconds that is trained and served; 30 for full ones only.",
    )
    practice_share: float = Field(
        0.8,
        ge=0,
        le=5,
        description="Invented sentences in many accents beside each recording of the dataset, an epoch; 150 at least, unless it is 0.",
    )
    rehearsal_share: float = Field(
        0.8,
        ge=0,
        le=5,
        description="Recordings of other speech beside each, so that general speech is not forgotten; 150 at least, unless it is 0.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="The same seed, data and machine give the same adapter.")
    min_utterances: int = Field(50, ge=1, description="From fewer recordings nothing is learned.")
    min_terms: int = Field(20, ge=0, description="Nor from recordings in which fewer medical terms are said.")


class Learning(Section):
    """The learning cycle: `medasrd learn --now`, and schedule.retrain."""

    recordings_first: bool = Field(
        True,
        description="While recordings wait, a training writes a checkpoint, leaves the memory, and goes on afterwards; false: it runs beside them.",
    )
    hours: Annotated[str, AfterValidator(_is_window)] = Field(
        "", description='When it may work, local time, e.g. "22:00-06:00"; empty for any time.'
    )
    keep_candidates: int = Field(
        5,
        ge=0,
        description="So many versions that were trained here and that no alias names keep their files, the newest.",
    )

    def is_open(self, now: time) -> bool:
        """Whether a local time lies within the window of hours, which may pass midnight."""
        match = _HOURS.fullmatch(self.hours)
        if not match:
            return True
        first, last = (time(int(match[place]), int(match[place + 1])) for place in (1, 3))
        return first <= now < last if first <= last else now >= first or now < last
