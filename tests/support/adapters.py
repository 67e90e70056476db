"""Adapters for tests: real ones for whisper-tiny.en, made by peft, and folders that only look like one, for what loads none."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from daemon.registry import shelf
from daemon.registry.registry import Registry
from medasr.packs import InstalledModel
from medasr.whisper.manifest import AdapterManifest, write_manifest

#: A base that nothing loads.
BASE = InstalledModel(
    name="whisper-tiny.en",
    path=Path("/nowhere"),
    source="index:tiny",
    revision="0.1.0",
    weights_sha256="ab" * 32,
    bytes=1,
    parameters=1,
)


def make_files(folder: Path, content: str = "weights", *, base: InstalledModel = BASE, context: float = 30.0) -> Path:
    """A folder with the files of an adapter, complete and consistent, whose weights are just bytes."""
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(content.encode())
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
    (folder / "README.md").write_text("# made by a test\n")
    describe(folder, base, context=context)
    return folder


def describe(folder: Path, base: InstalledModel, *, context: float = 30.0) -> None:
    """Write the manifest over what lies in a folder."""
    (folder / "medasr.json").unlink(missing_ok=True)
    manifest = AdapterManifest(
        base_id=base.name,
        base_revision=base.revision,
        base_sha256=base.weights_sha256,
        shortest_context=context,
        created_at="2026-03-01T12:00:00+00:00",
        seed=1,
        dataset={"train": 12},
    )
    write_manifest(folder, manifest)


def enter(registry: Registry, source: Path, origin: str = "imported", *, base: InstalledModel = BASE) -> str:
    """Put such a folder onto the shelf and into the table, as an import does; return the version's name."""
    adapters = registry.config.paths.adapters
    with shelf.locked(adapters):
        placed = shelf.place(adapters, source, [base], preferred=base.name, fits=lambda _base, _adapter: None)
    return registry.register(placed.name, placed.base_id, origin, actor="ann")


def peft_folder(target: Path, *, seed: int = 1, strength: float = 0.0) -> Path:
    """A LoRA adapter for whisper-tiny.en as peft saves it; with ``strength`` it changes what is heard, without it nothing."""
    target.mkdir(parents=True)
    for name, content in _saved(seed, strength).items():
        (target / name).write_bytes(content)
    return target


@cache
def _saved(seed: int, strength: float) -> dict[str, bytes]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperForConditionalGeneration

    from tests.support.whisper import tiny_english

    torch.manual_seed(seed)
    network = WhisperForConditionalGeneration.from_pretrained(tiny_english().path)
    adapted = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    if strength:
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=strength)
    with tempfile.TemporaryDirectory() as name:
        adapted.save_pretrained(name)
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}
