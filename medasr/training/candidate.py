"""What a training ends with: a folder in PEFT's format that says where it comes from, and nothing of it half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from medasr.packs import PACKS
from medasr.training.card import model_card
from medasr.whisper.manifest import (
    CARD_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    Heard,
    write_durably,
    write_heard,
    write_manifest,
)

if TYPE_CHECKING:
    from medasr.training.recipe import TrainingRecipe
    from medasr.whisper.model import ModelOptions

#: Packages that decide what is learned.
_PACKAGES = ("medasr", "torch", "transformers", "peft", "bitsandbytes", "soxr", "silero-vad")


def write_adapter(
    folder: Path, tensors: Mapping[str, torch.Tensor], base_id: str, recipe: TrainingRecipe, interpolation: float
) -> None:
    """Write weights and configuration of an adapter, as they are served: f16, mixed with the base.

    Mixing base and adapter is what half an adapter is: B·A scaled down. The folder is made anew.
    """
    from peft import LoraConfig
    from safetensors.torch import save

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    mixed = {
        name: (tensor * interpolation if ".lora_B." in name else tensor).to(torch.float16).contiguous()
        for name, tensor in tensors.items()
    }
    rank = max(len(tensor) for name, tensor in mixed.items() if ".lora_A." in name)
    config = LoraConfig(
        r=rank,
        lora_alpha=rank * recipe.alpha // recipe.rank,
        lora_dropout=recipe.dropout,
        target_modules=_targets(tensors),
        base_model_name_or_path=hub_name(base_id),
        inference_mode=True,
    )
    config.save_pretrained(str(folder))
    for path in folder.iterdir():
        path.chmod(0o600)
    write_durably(folder / WEIGHTS_FILE, save(mixed, metadata={"format": "pt"}))


def average(members: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of adapters, exactly, as one whose rank is the sum of theirs (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482).

    The mean of the products B·A is the product of all B side by side, divided by their number, with all A one above the other.
    """
    if len(members) == 1:
        return dict(members[0])
    return {
        name: torch.cat([one[name] for one in members], dim=1) / len(members)
        if ".lora_B." in name
        else torch.cat([one[name] for one in members], dim=0)
        for name in members[0]
    }


def truncate(tensors: Mapping[str, torch.Tensor], rank: int) -> dict[str, torch.Tensor]:
    """The nearest adapter of at most this rank: of each product B·A the largest singular values (Eckart and Young 1936).

    What members learned in common is in those; the rest is mostly what each learned by chance.
    """
    kept: dict[str, torch.Tensor] = {}
    for name, lower in tensors.items():
        if ".lora_A." not in name:
            continue
        other = name.replace(".lora_A.", ".lora_B.")
        if len(lower) <= rank:
            kept[name], kept[other] = lower, tensors[other]
            continue
        left, upper_triangle = torch.linalg.qr(tensors[other].double())
        right, lower_triangle = torch.linalg.qr(lower.double().T)
        rotation, values, turned = torch.linalg.svd(upper_triangle @ lower_triangle.T)
        scale = values[:rank].sqrt()
        kept[other] = (left @ rotation[:, :rank] * scale).float()
        kept[name] = ((right @ turned.T[:, :rank]) * scale).T.float()
    return kept


def complete_adapter(
    folder: Path,
    *,
    base: ModelOptions,
    recipe: TrainingRecipe,
    heard: Heard,
    dataset: Mapping[str, Any],
    metrics: Mapping[str, Any],
    now: datetime,
) -> AdapterManifest:
    """Add what tells people and programs about an adapter whose weights were written: card, marks, and the manifest, last."""
    manifest = AdapterManifest(
        base_id=base.base_id,
        base_revision=base.base_revision,
        base_sha256=base.base_sha256,
        shortest_context=recipe.shortest_context,
        created_at=now.isoformat(timespec="seconds"),
        seed=recipe.seed,
        recipe=asdict(recipe),
        dataset=dict(dataset),
        metrics=dict(metrics),
        versions=package_versions(),
    )
    write_heard(folder, heard)
    write_durably(folder / CARD_FILE, model_card(manifest, hub_name(base.base_id)).encode())
    manifest = write_manifest(folder, manifest)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return manifest


def hub_name(base_id: str) -> str:
    """The base's name on the model hub, for those who load the adapter elsewhere; of a directory its last part, not where it lies."""
    if base_id in PACKS:
        return PACKS[base_id].hub.repository
    return Path(base_id).name if base_id.startswith("/") else base_id.split("@", maxsplit=1)[0]


def package_versions() -> dict[str, str]:
    """The packages that decide what is learned, by name."""
    return {name: version(name) for name in _PACKAGES}


def _targets(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the layers that are adapted, so that PEFT needs no rule to find them again."""
    return sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in tensors if ".lora_A." in name})
