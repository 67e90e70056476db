"""What a folder with a Whisper model must hold before anything loads it.

Only safetensors weights, JSON and text are accepted: a pickle (``.bin``, ``.pt`` ...) runs code when it is opened, and torch's
``weights_only`` was bypassed more than once (CVE-2025-32434, CVE-2026-24747). The names, shapes and types of the tensors are
read from the file's header, without loading a number, and compared with the architecture that ``config.json`` declares.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from medasr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Shapes = dict[str, tuple[int, ...]]

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"

_FIVE_DIGITS = "[0-9]" * 5

#: The only files that are fetched from a hub or copied from a directory, as patterns of fnmatch.
FILES = (
    WEIGHTS,
    WEIGHTS_INDEX,
    f"model-{_FIVE_DIGITS}-of-{_FIVE_DIGITS}.safetensors",
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "normalizer.json",
    "vocab.json",
    "merges.txt",
)

#: Endings of files that can run code when they are loaded, or of formats that nothing here reads.
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".msgpack", ".h5")

#: One of each group must be there.
_REQUIRED = (
    ("config.json",),
    ("generation_config.json",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
    (WEIGHTS, WEIGHTS_INDEX),
)

_MAX_JSON_BYTES = 64 * 2**20
_MAX_LAYERS = 200
_MAX_SIZE = 1_000_000
_FLOATS = {"F16", "BF16", "F32"}
#: An untied copy of the embeddings, which some programs write though Whisper ties the two.
_OPTIONAL = "proj_out.weight"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The sizes that decide every tensor's shape, by their names in ``config.json``."""

    d_model: int
    encoder_layers: int
    decoder_layers: int
    encoder_attention_heads: int
    decoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_ffn_dim: int
    num_mel_bins: int
    max_source_positions: int
    max_target_positions: int
    vocab_size: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Architecture:
        """Given the content of ``config.json``, return the sizes. Raise ModelError when it is not Whisper's."""
        if config.get("model_type") != "whisper":
            raise ModelError(f"config.json is for model type {str(config.get('model_type'))[:40]!r}, not for whisper")
        sizes: dict[str, int] = {}
        for field in fields(cls):
            value = config.get(field.name)
            limit = _MAX_LAYERS if field.name.endswith("_layers") else _MAX_SIZE
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= limit:
                raise ModelError(f"config.json says {field.name} = {str(value)[:40]}, where a size is needed")
            sizes[field.name] = value
        return cls(**sizes)

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]], *, heads: int) -> Architecture:
        """Given the shapes of a complete model and its number of heads, return the sizes. Raise ModelError if some are missing."""
        try:
            vocabulary, width = shapes["model.decoder.embed_tokens.weight"]
            return cls(
                d_model=width,
                encoder_layers=_count_layers(shapes, "encoder"),
                decoder_layers=_count_layers(shapes, "decoder"),
                encoder_attention_heads=heads,
                decoder_attention_heads=heads,
                encoder_ffn_dim=shapes["model.encoder.layers.0.fc1.weight"][0],
                decoder_ffn_dim=shapes["model.decoder.layers.0.fc1.weight"][0],
                num_mel_bins=shapes["model.encoder.conv1.weight"][1],
                max_source_positions=shapes["model.encoder.embed_positions.weight"][0],
                max_target_positions=shapes["model.decoder.embed_positions.weight"][0],
                vocab_size=vocabulary,
            )
        except (KeyError, IndexError, ValueError) as error:
            raise ModelError(f"the weights are not a complete Whisper model: {error}") from error

    def shapes(self) -> Shapes:
        """The name and shape of every tensor of WhisperForConditionalGeneration with these sizes."""
        width = self.d_model
        shapes: Shapes = {
            "model.encoder.conv1.weight": (width, self.num_mel_bins, 3),
            "model.encoder.conv1.bias": (width,),
            "model.encoder.conv2.weight": (width, width, 3),
            "model.encoder.conv2.bias": (width,),
            "model.encoder.embed_positions.weight": (self.max_source_positions, width),
            "model.decoder.embed_positions.weight": (self.max_target_positions, width),
            "model.decoder.embed_tokens.weight": (self.vocab_size, width),
        }
        for side in ("encoder", "decoder"):
            shapes.update(_norm(f"model.{side}.layer_norm", width))
            feed_forward = getattr(self, f"{side}_ffn_dim")
            for layer in range(getattr(self, f"{side}_layers")):
                prefix = f"model.{side}.layers.{layer}"
                shapes.update(_attention(f"{prefix}.self_attn", width))
                if side == "decoder":
                    shapes.update(_attention(f"{prefix}.encoder_attn", width))
                shapes.update(_norm(f"{prefix}.final_layer_norm", width))
                shapes[f"{prefix}.fc1.weight"] = (feed_forward, width)
                shapes[f"{prefix}.fc1.bias"] = (feed_forward,)
                shapes[f"{prefix}.fc2.weight"] = (width, feed_forward)
                shapes[f"{prefix}.fc2.bias"] = (width,)
        return shapes


def _count_layers(shapes: Mapping[str, tuple[int, ...]], side: str) -> int:
    return sum(name.startswith(f"model.{side}.layers.") and name.endswith(".fc1.bias") for name in shapes)


def _norm(prefix: str, width: int) -> Shapes:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def _attention(prefix: str, width: int) -> Shapes:
    """One attention block with its layer norm; Whisper's keys have no bias."""
    shapes: Shapes = {f"{prefix}.{part}_proj.weight": (width, width) for part in ("q", "k", "v", "out")}
    shapes.update({f"{prefix}.{part}_proj.bias": (width,) for part in ("q", "v", "out")})
    return shapes | _norm(f"{prefix}_layer_norm", width)


def refuse_unsafe(folder: Path) -> None:
    """Raise ModelError, naming the file, when anything in ``folder`` is a pickle or code."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in UNSAFE:
            raise ModelError(
                f"{path} can run code when it is loaded, so this folder is refused. Convert the model once, on a machine without "
                "patient data, with model.save_pretrained(NEW_FOLDER, safe_serialization=True) and "
                "processor.save_pretrained(NEW_FOLDER), and pull NEW_FOLDER"
            )


def accepted(name: str) -> bool:
    """Whether a file of this name belongs to a model folder."""
    return any(fnmatchcase(name, pattern) for pattern in FILES)


def check(folder: Path) -> int:
    """Check that ``folder`` is a complete Whisper model in safetensors that fits its ``config.json``.

    Return the number of parameters. Raise ModelError naming what is missing, unsafe or of the wrong shape.
    """
    refuse_unsafe(folder)
    for group in _REQUIRED:
        if not any((folder / name).is_file() for name in group):
            raise ModelError(
                f"{folder} has no {' or '.join(group)}; a model folder is what model.save_pretrained and "
                "processor.save_pretrained of transformers write"
            )
    architecture = Architecture.from_config(read_json(folder / "config.json"))
    found = dict(_headers(folder))
    expected = architecture.shapes()
    for name, shape in expected.items():
        if found.get(name) != shape:
            raise ModelError(f"{folder}: tensor {name} is {found.get(name, 'missing')}, config.json asks for {shape}")
    strange = sorted(found.keys() - expected.keys() - {_OPTIONAL})
    if strange:
        raise ModelError(f"{folder} holds {len(strange)} tensors that Whisper does not have, such as {strange[0]!r}")
    return sum(math.prod(shape) for shape in expected.values())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder. Raise ModelError when it is none."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ModelError(f"{path} is larger than any such file of Whisper's")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} is not a JSON object")
    return document


def weight_files(folder: Path) -> tuple[str, ...]:
    """The names of the files with weights, as transformers would choose them: one, or the shards that the index names."""
    if (folder / WEIGHTS).is_file():
        return (WEIGHTS,)
    shards = read_json(folder / WEIGHTS_INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) and accepted(name) for name in shards.values()):
        raise ModelError(f"{folder / WEIGHTS_INDEX} does not name the files with weights")
    return tuple(sorted(set(shards.values())))


def _headers(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor in the folder's weights."""
    from safetensors import SafetensorError, safe_open

    for name in weight_files(folder):
        path = folder / name
        try:
            with safe_open(path, framework="numpy") as tensors:
                for key in tensors.keys():  # noqa: SIM118 - not a mapping
                    tensor = tensors.get_slice(key)
                    if tensor.get_dtype() not in _FLOATS:
                        raise ModelError(f"{path}: tensor {key} is {tensor.get_dtype()}; pull the unquantized model")
                    yield key, tuple(tensor.get_shape())
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} is not a complete safetensors file: {error}") from error
