"""An installed model's weights by the names of openai/whisper, which whisper.cpp uses as well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.options import installed
from medasr.packs.checkpoint import WEIGHTS, Architecture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_OUTSIDE = {
    "encoder.conv1": "encoder.conv1",
    "encoder.conv2": "encoder.conv2",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
    "decoder.embed_tokens": "decoder.token_embedding",
}
_POSITIONS = {
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
}
_INSIDE = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
_ATTENTIONS = {"self_attn": "attn", "encoder_attn": "cross_attn"}
_PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out"}


@dataclass(frozen=True, kw_only=True)
class OpenaiWeights:
    """Sizes, tensors and tokenizer of one model."""

    architecture: Architecture
    tensors: dict[str, NDArray[np.generic]]
    tokenizer: dict[str, Any]  #: the content of ``tokenizer.json``


def openai_weights(model: str) -> OpenaiWeights:
    """Read a pack, fetched if need be."""
    from safetensors.numpy import load_file

    folder = installed(model).path
    tensors = load_file(folder / WEIGHTS)
    return OpenaiWeights(
        architecture=Architecture.from_config(_read(folder / "config.json")),
        tensors={_renamed(name.removeprefix("model.")): tensor for name, tensor in tensors.items()},
        tokenizer=_read(folder / "tokenizer.json"),
    )


def _renamed(name: str) -> str:
    """A tensor's name in Hugging Face's notation, without the first ``model.`` → in openai's."""
    if name in _POSITIONS:
        return _POSITIONS[name]
    stem, _, leaf = name.rpartition(".")
    if stem in _OUTSIDE:
        return f"{_OUTSIDE[stem]}.{leaf}"
    side, _, number, role = stem.split(".", 3)
    attention, _, projection = role.partition(".")
    part = f"{_ATTENTIONS[attention]}.{_PROJECTIONS[projection]}" if projection else _INSIDE[role]
    return f"{side}.blocks.{number}.{part}.{leaf}"


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
