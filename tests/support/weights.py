"""The small English Whisper with every kind of weights that may sit in its layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from medasr.whisper import model as loading
from medasr.whisper.adapter import apply_adapter
from medasr.whisper.model import load_model
from tests.support.adapters import peft_folder
from tests.support.whisper import tiny_english

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("stock", "merged", "wrapped", "nf4", "nf4-wrapped")


def network(kind: str, folder: Path) -> Any:
    """The small network, all of it computed in fp32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "cpu_has_bfloat16", lambda: False)
        options = replace(tiny_english(), precision="nf4" if "nf4" in kind else "fp32")
        if kind in ("merged", "nf4-wrapped"):
            options = replace(options, adapter=peft_folder(folder / "adapter", strength=0.02))
        whisper = load_model(options).network
    if kind == "wrapped":
        apply_adapter(whisper, peft_folder(folder / "adapter", strength=0.02), merge=False)
    assert any("lora" in name for name, _ in whisper.named_parameters()) == ("wrapped" in kind)
    return whisper.eval()
