"""Applies a LoRA adapter (Hu et al. 2021, https://arxiv.org/abs/2106.09685) in PEFT's folder format to a Whisper network."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from medasr.errors import ModelError
from medasr.types import WINDOW_SECONDS
from medasr.whisper.manifest import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, verify_adapter

if TYPE_CHECKING:
    from pathlib import Path


def apply_adapter(network: Any, folder: Path, *, merge: bool) -> str:
    """Put the adapter in ``folder`` on the network, in place, and return the sha256 of its weights.

    With ``merge`` its weights are added to the base weights, which then cost nothing more to use; 4-bit weights cannot be merged
    without rounding, so there the adapter stays beside them. Raise ModelError when the folder is incomplete or holds pickled weights,
    or when the adapter does not fit the network or is not finite.
    """
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    weights, sha256 = _read_weights(folder)
    config = _read_config(folder)
    try:
        adapted = PeftModel(network, config)
    except ValueError as error:
        raise ModelError(
            f"the adapter in {folder} does not fit the model ({error}); it belongs to another base model"
        ) from error
    # Left to itself, PEFT asks the model hub about the base's embeddings.
    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    expected = {name: tensor.shape for name, tensor in state.items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if expected != found:
        name = min(dict(expected.items() ^ found.items()))
        raise ModelError(
            f"the adapter in {folder} does not fit the model ({name}: {_shape(found, name)}, the model takes {_shape(expected, name)}); "
            "it belongs to another base model"
        )
    set_peft_model_state_dict(adapted, weights)
    if merge:
        adapted.merge_and_unload()
    return sha256


def read_shortest_context(folder: Path) -> float:
    """The shortest window in seconds that an adapter was trained for: 30 for one without a manifest, which was trained elsewhere.

    Raise ModelError when its manifest is damaged, or a file is not what the manifest says.
    """
    return verify_adapter(folder).shortest_context if (folder / MANIFEST_FILE).is_file() else WINDOW_SECONDS


def _read_weights(folder: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The adapter's tensors by name, and the sha256 of the file they come from."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    pickled = sorted(file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in folder.glob(pattern))
    if pickled:
        raise ModelError(
            f"the adapter in {folder} comes with pickled weights ({pickled[0]}), which can run code; save it as safetensors"
        )
    try:
        content = (folder / WEIGHTS_FILE).read_bytes()
        weights: dict[str, torch.Tensor] = load(content)
    except FileNotFoundError:
        raise ModelError(
            f"{folder} holds no {WEIGHTS_FILE}; correct model.adapter, or leave it empty for the stock model"
        ) from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS_FILE} cannot be read ({error}); restore the adapter") from error
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"the adapter in {folder} is damaged or its training diverged ({name} is not finite); use another one"
            )
    return weights, hashlib.sha256(content).hexdigest()


def _read_config(folder: Path) -> Any:
    from peft import LoraConfig, PeftType

    if not (folder / CONFIG_FILE).is_file():  # PEFT would ask the model hub for it
        raise ModelError(
            f"{folder} holds no {CONFIG_FILE}; correct model.adapter, or leave it empty for the stock model"
        )
    try:
        config = LoraConfig.from_pretrained(str(folder))
        if config.peft_type != PeftType.LORA:
            raise ValueError(f"its type is {config.peft_type}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"{folder / CONFIG_FILE} is not the configuration of a LoRA adapter ({error}); restore the adapter"
        ) from error
    # With SEQ_2_SEQ_LM, PEFT's wrapper insists on input_ids, which speech models do not have.
    config.task_type = None
    config.inference_mode = True
    return config


def _shape(shapes: dict[str, torch.Size], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "nothing"
