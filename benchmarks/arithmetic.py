"""How much arithmetic and reading Whisper's layers need for the shapes that they are given, and how much the machine can do.

Multiplications and additions of matrix products count as operations, two for each element of one row times one column; what is done element by
element does not. What has to be read for a token is the weights, once for all rows, and the keys and values of each row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from medasr.whisper.decoder import CachedDecoder, Sound
from medasr.whisper.packing import HalfLinear, PackedLinear

#: Rows and columns of square matrices; which of them are fastest is the machine's.
_SIZES = (1024, 2048, 4096)
#: More than any processor keeps near.
_ARRAY_BYTES = 2**29


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the machine does at best."""

    operations: float  #: a second, in products of large matrices
    bytes_read: float  #: a second, of a large array


def encoder_operations(config: Any, windows: int, frames: int) -> float:
    """Of the encoder, given a Whisper configuration, over so many windows of so many frames of the spectrogram."""
    width, time_steps = config.d_model, frames // 2
    convolutions = 2 * 3 * config.num_mel_bins * width * frames + 2 * 3 * width * width * time_steps
    products = 4 * 2 * time_steps * width**2 + 2 * 2 * time_steps * width * config.encoder_ffn_dim
    attention = 2 * 2 * time_steps**2 * width
    return float(windows * (convolutions + config.encoder_layers * (products + attention)))


def decoder_preparation(config: Any, windows: int, time_steps: int) -> float:
    """Of the keys and values of encoded windows."""
    return float(config.decoder_layers * windows * 2 * 2 * time_steps * config.d_model**2)


def decoder_operations(config: Any, rows: int, count: int, position: int, time_steps: int) -> float:
    """Of the decoder's layers for the next ``count`` tokens of each row, behind so many before them, over so many encoded time steps."""
    width = config.d_model
    products = 6 * 2 * width**2 + 2 * 2 * width * config.decoder_ffn_dim
    attention = 2 * 2 * width * (position + count) + 2 * 2 * width * time_steps
    return float(config.decoder_layers * rows * count * (products + attention))


def projection_operations(config: Any, rows: int) -> float:
    """Of the logits of so many rows."""
    return float(2 * rows * config.d_model * config.vocab_size)


def counting_sound(note: Callable[[float, float], None]) -> type[Sound]:
    """Keys and values of sound that tell how many operations they took."""

    class CountingSound(Sound):
        def __init__(self, network: Any, encoded: torch.Tensor) -> None:
            super().__init__(network, encoded)
            note(decoder_preparation(network.config, len(encoded), encoded.shape[1]), 0)

    return CountingSound


def counting(note: Callable[[float, float], None]) -> type[CachedDecoder]:
    """A decoder that tells of all that it does how many operations it takes, and how many bytes have to be read for it."""

    class CountingDecoder(CachedDecoder):
        def __init__(self, network: Any, sound: Sound, *args: Any, **kwargs: Any) -> None:
            super().__init__(network, sound, *args, **kwargs)
            self._counted, self._config, self._time_steps = 0, network.config, sound.time
            self._layer_bytes = sum(
                _weight_bytes(module)
                for name, module in network.model.decoder.layers.named_modules()
                if "encoder_attn.k_proj" not in name and "encoder_attn.v_proj" not in name
            )
            self._kept_bytes = 2 * self._config.decoder_layers * self._config.d_model * sound.type.itemsize

        def advance(self, tokens: torch.Tensor) -> torch.Tensor:
            rows, count = tokens.shape
            operations = decoder_operations(self._config, rows, count, self._counted, self._time_steps)
            self._counted += count
            kept = len(self._sound) * self._time_steps + rows * self._counted
            note(operations, self._layer_bytes + self._kept_bytes * kept)
            return super().advance(tokens)

        def scores(self, hidden: torch.Tensor) -> torch.Tensor:
            note(projection_operations(self._config, len(hidden)), _weight_bytes(self._projection))
            return super().scores(hidden)

    return CountingDecoder


def _weight_bytes(module: torch.nn.Module) -> int:
    """Of a module's own weights, without its parts'."""
    packed = module.nbytes if isinstance(module, PackedLinear | HalfLinear) else 0
    return packed + sum(weights.nbytes for weights in module.parameters(recurse=False))


def best_of(kind: torch.dtype, device: str, seconds: float) -> Machine:
    """The best of so many seconds of each, once at least, on as many threads as torch has."""
    matrices = [torch.randn(size, size).to(device, kind) for size in _SIZES]
    array = torch.ones(_ARRAY_BYTES // 4, device=device)
    fastest = 0.0
    for matrix in matrices:
        least = _least_seconds(partial(torch.mm, matrix, matrix), device, seconds / len(matrices))
        fastest = max(fastest, 2 * len(matrix) ** 3 / least)
    return Machine(operations=fastest, bytes_read=array.nbytes / _least_seconds(array.sum, device, seconds))


def _least_seconds(work: Callable[[], object], device: str, seconds: float) -> float:
    least = float("inf")
    deadline = time.perf_counter() + seconds
    while least == float("inf") or time.perf_counter() < deadline:
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()  # what a GPU is told, it does later
        least = min(least, time.perf_counter() - began)
    return least
