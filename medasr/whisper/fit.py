"""Whether an adapter fits a base, told from names, shapes and numbers, without loading the base's weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from medasr.errors import ModelError
from medasr.whisper.adapter import apply_adapter


def require_fit(base: Path, adapter: Path) -> None:
    """Raise ModelError unless the adapter's tensors are those that the base takes: same names, same shapes, all finite."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    try:
        with torch.device("meta"):
            network = WhisperForConditionalGeneration(WhisperConfig.from_pretrained(base, local_files_only=True))
    except (OSError, ValueError) as error:
        raise ModelError(f"{base} holds no Whisper model; fetch it again: medasrd models pull") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing can be copied into a network without memory is known
        apply_adapter(network, adapter, merge=False)
