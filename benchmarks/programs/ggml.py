"""An installed model in the format that whisper.cpp reads.

Little-endian, whatever comes first first (ggml-org/whisper.cpp, ``src/whisper.cpp``, ``whisper_model_load``)::

    i32 magic · 11 × i32 sizes, the last one the type of large tensors (1: f16)
    i32 mel bins · i32 frequencies · f32 mel filters
    i32 count · count × (i32 length · bytes)                                            the tokens, without special ones
    until the end: i32 rank · i32 length of the name · i32 type · rank × i32 size, the last axis first · name · data
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from benchmarks.options import CACHE
from benchmarks.programs.openai_weights import OpenaiWeights, openai_weights
from medasr.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = 0x67676D6C
_FLOAT32, _FLOAT16 = 0, 1
_FREQUENCIES = 201

#: Vectors that are added to a matrix as a column.
_COLUMNS = ("encoder.conv1.bias", "encoder.conv2.bias")
#: Matrices that are added to float32.
_WIDE = (*_COLUMNS, "encoder.positional_embedding", "decoder.positional_embedding")


def ggml_file(model: str) -> Path:
    """A pack's weights in one file, written at the first use."""
    target = CACHE / "ggml" / f"{model}.bin"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as stream:
            write_ggml(openai_weights(model), stream)
        unfinished.rename(target)
    return target


def write_ggml(weights: OpenaiWeights, stream: BinaryIO) -> None:
    """Write all of a model's parts, one after the other."""
    sizes = weights.architecture
    _integers(
        stream,
        _MAGIC,
        sizes.vocab_size,
        sizes.max_source_positions,
        sizes.d_model,
        sizes.encoder_attention_heads,
        sizes.encoder_layers,
        sizes.max_target_positions,
        sizes.d_model,
        sizes.decoder_attention_heads,
        sizes.decoder_layers,
        sizes.num_mel_bins,
        _FLOAT16,
    )
    filters = _mel_filters(sizes.num_mel_bins)
    _integers(stream, *filters.shape)
    stream.write(filters.tobytes())
    tokens = plain_tokens(weights.tokenizer)
    _integers(stream, len(tokens))
    for token in tokens:
        _integers(stream, len(token))
        stream.write(token)
    for name, tensor in weights.tensors.items():
        _tensor(stream, name, tensor)


def plain_tokens(tokenizer: dict[str, Any]) -> list[bytes]:
    """The bytes of all tokens below the first special one, in the order of their ids; GPT-2's tokenizer spells bytes as characters."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    ids: dict[str, int] = tokenizer["model"]["vocab"]
    first_special = min(token["id"] for token in tokenizer["added_tokens"])
    plain = sorted((number, token) for token, number in ids.items() if number < first_special)
    return [bytes(byte_of[character] for character in token) for _, token in plain]


def _tensor(stream: BinaryIO, name: str, tensor: NDArray[np.generic]) -> None:
    narrow = tensor.ndim > 1 and name not in _WIDE
    data = np.ascontiguousarray(tensor, dtype=np.float16 if narrow else np.float32)
    if name in _COLUMNS:
        data = data[:, None]
    spelled = name.encode()
    _integers(stream, data.ndim, len(spelled), _FLOAT16 if narrow else _FLOAT32, *reversed(data.shape))
    stream.write(spelled)
    stream.write(data.tobytes())


def _mel_filters(bins: int) -> NDArray[np.float32]:
    """Shape ``[bins, frequencies]``."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=_FREQUENCIES,
        num_mel_filters=bins,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return np.ascontiguousarray(filters.T, dtype=np.float32)


def _integers(stream: BinaryIO, *values: int) -> None:
    stream.write(struct.pack(f"<{len(values)}i", *values))
