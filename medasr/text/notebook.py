"""The text rules of the notebook that medasr grew out of, kept as they are so that its figures can be held against ours."""

from __future__ import annotations

import re


def fold_for_rates(text: str) -> str:
    """Fold case, drop commas and full stops, strip: what the notebook calls normalized when it computes rates."""
    return text.lower().replace(",", "").replace(".", "").strip()


def normalize_transcription(text: str) -> str:
    """Prepare a transcription for training as the notebook does: lower case, only letters, spaces and ``,.!?``.

    Digits disappear ("20 mg" becomes "mg"), which is why nothing but the comparison with the notebook uses this.
    """
    kept = re.sub(r"[^a-zA-Z,.!? ]", "", text.lower())
    return re.sub(r"\s+", " ", kept).strip()
