"""A base and its adapter as one model in full precision, which any program that reads Whisper's safetensors can load."""

from __future__ import annotations

import shutil
from pathlib import Path

from medasr.packs import checkpoint
from medasr.whisper.adapter import apply_adapter


def merge(base: Path, adapter: Path, target: Path) -> None:
    """Given two folders, write the merged model into the empty folder ``target``: fp32, never by way of quantized weights.

    Raise ModelError when the base is no Whisper model or the adapter does not fit.
    """
    from transformers import WhisperForConditionalGeneration
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    checkpoint.check(base)
    network = WhisperForConditionalGeneration.from_pretrained(
        base, local_files_only=True, use_safetensors=True, dtype="float32"
    )
    apply_adapter(network, adapter, merge=True)
    network.save_pretrained(target)
    weights = set(checkpoint.weight_files(base)) | {checkpoint.WEIGHTS_INDEX}
    for name in sorted(path.name for path in base.iterdir() if checkpoint.accepted(path.name)):
        if name not in weights and not (target / name).exists():
            shutil.copyfile(base / name, target / name)
    checkpoint.check(target)
