"""What a recording and its text must be like to be kept."""

from __future__ import annotations

from dataclasses import dataclass

from medasr.types import WINDOW_SECONDS

#: The characters that the notebook calls ambiguous.
NOTEBOOK_AMBIGUOUS = "@#&^~+=<>$€¥¢£…“”«»‘’¡¿"

#: Quotation marks and the ellipsis say nothing about the words, so they cost no recording.
_TYPOGRAPHY = "…“”«»‘’"


@dataclass(frozen=True, kw_only=True)
class PreparationRules:
    """Bounds of what is kept; docs/preparation.md gives the reasons for the defaults."""

    min_seconds: float = 0.5  #: shorter holds no sentence
    max_seconds: float = WINDOW_SECONDS  #: longer does not fit into one window of the model
    min_rms_dbfs: float = -60.0  #: quieter is silent
    max_clipped_share: float = 0.01  #: of the samples, in runs at full scale
    min_snr_db: float = 6.0
    ambiguous: str = "".join(sorted(set(NOTEBOOK_AMBIGUOUS) - set(_TYPOGRAPHY) | {"\N{REPLACEMENT CHARACTER}"}))
    notebook_noisy_share: float = 0.1  #: the loudest tenth: the notebook drops the loudest and does not say how many


def find_ambiguous(text: str, characters: str) -> str:
    """Return those of the characters that stand in the text, each once, in the order in which they come."""
    return "".join(dict.fromkeys(character for character in text if character in characters))
