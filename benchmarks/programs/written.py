"""What a program hands back for a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

#: How recordings are given to a program: as short ones, or as long ones.
SHORT, LONG = "short", "long"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a program wrote of one recording."""

    text: str
    spans: tuple[tuple[float, float], ...] = ()  #: seconds, of its segments; empty where it gives no times


#: Files of samples as the decoder makes them (16 kHz mono float32), and a way to go about it → what is written for each.
Transcribe = Callable[[Sequence[Path], str], list[Written]]
