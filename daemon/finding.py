"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    level: Literal["ok", "warning", "problem"]
    subject: str
    text: str
    remedy: str = ""
