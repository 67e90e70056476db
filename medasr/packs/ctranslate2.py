"""Whisper weights from CTranslate2's binary format, without CTranslate2.

The format (binary version 6, little-endian; OpenNMT/CTranslate2, ``python/ctranslate2/specs/model_spec.py``) holds named arrays::

    u32 version · string specification · u32 revision
    u32 count · count × (string name · u8 rank · rank × u32 size · u8 dtype · u32 bytes · data)
    u32 count · count × (string alias · string name)

where a string is a u16 length, its NUL included, and that many bytes. Nothing in a file is trusted: every length is checked
against what is left of the file before it is used, so a damaged or hostile file ends in a ModelError, never in a crash or in
memory asked for on its say-so.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from medasr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

_VERSION = 6
_SPECIFICATION = "WhisperSpec"
_REVISION = 3
_MAX_RANK = 4
_DTYPES = (np.dtype("<f4"), np.dtype("i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<f2"))

#: Scalars that describe another network than Whisper's when they differ. Activation 3 is the exact GELU.
_SETTINGS = {
    "decoder/activation": 3,
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
_TIED = {"decoder/projection/weight": "decoder/embeddings/weight"}

_OUTSIDE_LAYERS = {
    "encoder/conv1": "encoder.conv1",
    "encoder/conv2": "encoder.conv2",
    "encoder/layer_norm": "encoder.layer_norm",
    "encoder/position_encodings": "encoder.embed_positions",
    "decoder/embeddings": "decoder.embed_tokens",
    "decoder/layer_norm": "decoder.layer_norm",
    "decoder/position_encodings": "decoder.embed_positions",
}
#: Within a layer; several names where CTranslate2 stacks projections that Hugging Face keeps apart.
_INSIDE_LAYERS = {
    "self_attention/layer_norm": ("self_attn_layer_norm",),
    "self_attention/linear_0": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1": ("self_attn.out_proj",),
    "attention/layer_norm": ("encoder_attn_layer_norm",),
    "attention/linear_0": ("encoder_attn.q_proj",),
    "attention/linear_1": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "attention/linear_2": ("encoder_attn.out_proj",),
    "ffn/layer_norm": ("final_layer_norm",),
    "ffn/linear_0": ("fc1",),
    "ffn/linear_1": ("fc2",),
}
_LEAVES = {"weight": "weight", "gamma": "weight", "encodings": "weight", "bias": "bias", "beta": "bias"}


class _Reader:
    """A cursor over the file's bytes that cannot leave them."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._position = 0

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes."""
        end = self._position + count
        if end > len(self._data):
            raise ModelError(
                f"the weights end at byte {len(self._data)}, but byte {end} is needed: the file is truncated"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def number(self, code: str) -> int:
        """The next unsigned integer, of struct's format ``code``."""
        value: int = struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0]
        return value

    def string(self) -> str:
        """The next string, without its NUL."""
        raw = bytes(self.take(self.number("H")))
        if not raw.endswith(b"\0") or not raw[:-1].isascii():
            raise ModelError(f"a name of the weights, before byte {self._position}, is not text: the file is damaged")
        return raw[:-1].decode("ascii")

    def at_end(self) -> bool:
        """Whether every byte was read."""
        return self._position == len(self._data)


def read_arrays(data: bytes) -> Arrays:
    """Read a CTranslate2 ``model.bin``.

    Given its bytes, return its arrays by name; they are views into ``data``, not copies. Raise ModelError for anything
    that is not, to the last byte, a Whisper model in binary version 6.
    """
    reader = _Reader(data)
    header = (reader.number("I"), reader.string(), reader.number("I"))
    if header != (_VERSION, _SPECIFICATION, _REVISION):
        raise ModelError(
            f"the weights are {header[1][:40]!r} revision {header[2]} in binary version {header[0]}, not Whisper's"
        )
    arrays: Arrays = {}
    for _ in range(reader.number("I")):
        name = reader.string()
        if name in arrays:
            raise ModelError(f"the weights hold {name!r} twice: the file is damaged")
        arrays[name] = _read_array(reader, name)
    aliases = dict(_read_aliases(reader))
    if aliases != _TIED:
        raise ModelError(f"the weights tie {aliases}, where Whisper ties its projection to its embeddings")
    if not reader.at_end():
        raise ModelError("the weights go on after their end: the file is damaged")
    return arrays


def _read_array(reader: _Reader, name: str) -> NDArray[Any]:
    rank = reader.number("B")
    if rank > _MAX_RANK:
        raise ModelError(f"{name!r} has {rank} dimensions: the file is damaged")
    shape = tuple(reader.number("I") for _ in range(rank))
    code = reader.number("B")
    if code >= len(_DTYPES):
        raise ModelError(f"{name!r} has the unknown data type {code}: the file is damaged or newer than this program")
    size = reader.number("I")
    if size != math.prod(shape) * _DTYPES[code].itemsize:
        raise ModelError(f"{name!r} says {size} bytes for shape {shape} of {_DTYPES[code]}: the file is damaged")
    return np.frombuffer(reader.take(size), dtype=_DTYPES[code]).reshape(shape)


def _read_aliases(reader: _Reader) -> Iterator[tuple[str, str]]:
    for _ in range(reader.number("I")):
        yield reader.string(), reader.string()


def to_huggingface(arrays: Mapping[str, NDArray[Any]]) -> tuple[Arrays, int]:
    """Rename and unstack CTranslate2's arrays to those of transformers' WhisperForConditionalGeneration.

    Given the arrays of :func:`read_arrays`, return the tensors by their Hugging Face names, bit for bit the same numbers, and
    the number of attention heads. Raise ModelError when an array is unknown, quantized, or its values say that this is not Whisper.
    """
    heads = _check_scalars(arrays)
    tensors: Arrays = {}
    for name, array in arrays.items():
        if not array.ndim:
            continue
        if array.dtype.kind != "f":
            raise ModelError(f"{name!r} is quantized to {array.dtype}; only f16 and f32 weights convert without loss")
        for target, part in _unstack(name, array):
            if target.endswith("k_proj.bias"):
                # Whisper's keys have no bias; CTranslate2 stacks zeros in its place.
                if part.any():
                    raise ModelError(f"{name!r} holds a bias for keys, which Whisper does not have")
                continue
            tensors[target] = np.ascontiguousarray(part)
    return tensors, heads


def _check_scalars(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Compare the settings with Whisper's, and return the number of heads."""
    scalars = {name: int(array) for name, array in arrays.items() if not array.ndim}
    for name, expected in _SETTINGS.items():
        if scalars.get(name) != expected:
            raise ModelError(f"{name!r} is {scalars.get(name)}, Whisper's is {expected}")
    heads = scalars.get("decoder/num_heads", 0)
    if heads < 1 or scalars.get("encoder/num_heads") != heads:
        raise ModelError("the weights do not say how many attention heads they have")
    return heads


def _unstack(name: str, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The Hugging Face names of one array, each with its share of the rows."""
    stem, _, leaf = name.rpartition("/")
    side, _, rest = stem.partition("/")
    layer, _, role = rest.partition("/")
    if stem in _OUTSIDE_LAYERS and leaf in _LEAVES:
        targets: tuple[str, ...] = (f"model.{_OUTSIDE_LAYERS[stem]}",)
    elif layer.startswith("layer_") and layer[6:].isdecimal() and role in _INSIDE_LAYERS and leaf in _LEAVES:
        targets = tuple(f"model.{side}.layers.{layer[6:]}.{part}" for part in _INSIDE_LAYERS[role])
    else:
        raise ModelError(f"{name!r} is no weight of Whisper's")
    if len(array) % len(targets):
        raise ModelError(f"{name!r} has {len(array)} rows, which do not split into {len(targets)} projections")
    for target, part in zip(targets, np.split(array, len(targets)), strict=True):
        yield f"{target}.{_LEAVES[leaf]}", part
