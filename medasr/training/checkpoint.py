"""A training's state on disk, so that it goes on where it was: complete, or not there at all.

A checkpoint is a folder ``checkpoint-NUMBER``, counted over all members, with the adapter's and the optimizer's tensors as safetensors and the rest as JSON; its
manifest with the hashes of the others is written last. One without a manifest, or with a file that differs, does not count.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from medasr.training.loop import Trainee, trained_parameters
from medasr.whisper.manifest import write_durably

MANIFEST = "manifest.json"
_ADAPTER, _OPTIMIZER, _AVERAGE, _STATE = (
    "adapter.safetensors",
    "optimizer.safetensors",
    "average.safetensors",
    "state.json",
)
_PREFIX = "checkpoint-"
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A complete one, as it was read."""

    adapter: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]  #: by "NUMBER.NAME"
    average: dict[str, torch.Tensor]  #: by "NUMBER"
    step: int
    parts: int
    state: dict[str, Any]  #: whatever else the training has to know again


def save_checkpoint(folder: Path, trainee: Trainee, state: Mapping[str, Any], *, number: int) -> None:
    """Write a checkpoint under ``folder``, and only then drop older ones. ``state`` is made of JSON values.

    ``number`` counts the steps of all members; of one number the last checkpoint holds.
    """
    from safetensors.torch import save

    name = f"{_PREFIX}{number:07d}"
    target = folder / f"{_UNFINISHED}{name}"
    for torn in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(torn)
    target.mkdir(parents=True, mode=0o700)
    facts = {"step": trainee.step, "parts": trainee.parts, "state": dict(state)}
    contents = {
        _ADAPTER: save(_tensors(trainee)),
        _AVERAGE: save({f"{number:05d}": tensor.cpu() for number, tensor in enumerate(trainee.average)}),
        _OPTIMIZER: save(_optimizer_tensors(trainee)),
        _STATE: json.dumps(facts, sort_keys=True).encode(),
    }
    for file, content in contents.items():
        write_durably(target / file, content)
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    write_durably(target / MANIFEST, json.dumps(hashes).encode())
    older = _folders(folder)
    final = folder / f"{name}.{_versions(older, name)}"
    target.rename(final)
    for old in older:
        shutil.rmtree(old)


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint under ``folder``; None when there is none."""
    for candidate in reversed(_folders(folder)):
        checkpoint = _read(candidate)
        if checkpoint is not None:
            return checkpoint
    return None


def restore(trainee: Trainee, checkpoint: Checkpoint) -> None:
    """Bring a fresh trainee to where a checkpoint was."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(trainee.adapted, checkpoint.adapter)
    values: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in checkpoint.optimizer.items():
        number, name = key.split(".", 1)
        values.setdefault(int(number), {})[name] = tensor
    described = trainee.optimizer.state_dict()
    trainee.optimizer.load_state_dict({**described, "state": values})
    for average, kept in zip(
        trainee.average, (checkpoint.average[name] for name in sorted(checkpoint.average)), strict=True
    ):
        average.copy_(kept)
    trainee.step, trainee.parts = checkpoint.step, checkpoint.parts


def adapter_tensors(trainee: Trainee) -> dict[str, torch.Tensor]:
    """What has been learned: the averaged adapter's tensors by PEFT's names, on the CPU; copies."""
    parameters = trained_parameters(trainee)
    last = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, average in zip(parameters, trainee.average, strict=True):
            parameter.copy_(average)
        tensors = _tensors(trainee)
        for parameter, value in zip(parameters, last, strict=True):
            parameter.copy_(value)
    return tensors


def _tensors(trainee: Trainee) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    # Asked otherwise, PEFT looks the base's embeddings up on the model hub.
    tensors = get_peft_model_state_dict(trainee.adapted, save_embedding_layers=False)
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _optimizer_tensors(trainee: Trainee) -> dict[str, torch.Tensor]:
    state = trainee.optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value).detach().to("cpu", copy=True).contiguous()
        for number, values in state.items()
        for name, value in values.items()
    }


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def _versions(folders: Sequence[Path], name: str) -> int:
    """How many checkpoints of a number there were before."""
    return max(
        (int(path.name.rpartition(".")[2]) + 1 for path in folders if path.name.startswith(f"{name}.")), default=0
    )


def _read(folder: Path) -> Checkpoint | None:
    from safetensors.torch import load

    try:
        hashes = json.loads((folder / MANIFEST).read_bytes())
        contents = {name: (folder / name).read_bytes() for name in (_ADAPTER, _OPTIMIZER, _AVERAGE, _STATE)}
    except (OSError, ValueError):
        return None
    if any(hashlib.sha256(content).hexdigest() != hashes.get(name) for name, content in contents.items()):
        return None
    facts = json.loads(contents[_STATE])
    return Checkpoint(
        adapter=load(contents[_ADAPTER]),
        optimizer=load(contents[_OPTIMIZER]),
        average=load(contents[_AVERAGE]),
        step=facts["step"],
        parts=facts["parts"],
        state=facts["state"],
    )
