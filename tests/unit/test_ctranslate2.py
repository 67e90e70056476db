"""Reading CTranslate2's binary format: lossless for a Whisper, a ModelError for everything else."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.errors import ModelError
from medasr.packs.checkpoint import Architecture
from medasr.packs.ctranslate2 import read_arrays, to_huggingface
from tests.support.whisper_packs import HEADS, WIDTH, arrays, write_binary

BINARY = write_binary(arrays())
SELF_ATTENTION = "encoder/layer_0/self_attention/linear_0"


def test_every_array_comes_back_bit_for_bit() -> None:
    written = arrays()
    read = read_arrays(write_binary(written))
    assert read.keys() == written.keys()
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_the_tensors_are_those_of_transformers() -> None:
    tensors, heads = to_huggingface(arrays(layers=2))
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    architecture = Architecture.from_shapes(shapes, heads=heads)
    assert shapes == architecture.shapes()
    assert (architecture.encoder_layers, architecture.d_model, heads) == (2, WIDTH, HEADS)


def test_stacked_projections_are_taken_apart_in_the_order_query_key_value() -> None:
    model = arrays()
    stacked = model[f"{SELF_ATTENTION}/weight"]
    tensors, _ = to_huggingface(model)
    for row, part in enumerate("qkv"):
        expected = stacked[row * WIDTH : (row + 1) * WIDTH]
        np.testing.assert_array_equal(tensors[f"model.encoder.layers.0.self_attn.{part}_proj.weight"], expected)
    assert "model.encoder.layers.0.self_attn.k_proj.bias" not in tensors


@given(st.integers(0, len(BINARY) - 1))
def test_a_truncated_file_is_refused_wherever_it_ends(length: int) -> None:
    with pytest.raises(ModelError):
        read_arrays(BINARY[:length])


@given(st.integers(0, len(BINARY) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_read_or_refused_but_never_crashes(position: int, mask: int) -> None:
    damaged = bytearray(BINARY)
    damaged[position] ^= mask
    with contextlib.suppress(ModelError):
        to_huggingface(read_arrays(bytes(damaged)))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        read_arrays(content)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ModelError, match="go on after their end"):
        read_arrays(BINARY + b"\0")


@pytest.mark.parametrize("header", [{"version": 7}, {"specification": "TransformerSpec"}, {"revision": 4}])
def test_another_format_is_refused_by_name(header: dict[str, int | str]) -> None:
    with pytest.raises(ModelError, match="not Whisper's"):
        read_arrays(write_binary(arrays(), **header))  # type: ignore[arg-type]


def test_a_size_larger_than_the_file_asks_for_no_memory() -> None:
    huge = 2**32 - 1
    header = write_binary({}, aliases=())[: -2 * 4] + struct.pack("<I", 1)
    array = struct.pack("<H", 2) + b"x\0" + struct.pack("<BIBI", 1, huge, 1, huge)
    with pytest.raises(ModelError, match="truncated"):
        read_arrays(header + array)


def test_a_model_whose_projection_is_not_tied_is_refused() -> None:
    with pytest.raises(ModelError, match="ties"):
        read_arrays(write_binary(arrays(), aliases=()))


def test_quantized_weights_are_refused() -> None:
    model = arrays()
    model["encoder/conv1/weight"] = model["encoder/conv1/weight"].astype("i1")
    with pytest.raises(ModelError, match="quantized"):
        to_huggingface(model)


def test_a_bias_for_keys_is_refused_because_it_would_be_lost() -> None:
    model = arrays()
    model[f"{SELF_ATTENTION}/bias"][WIDTH] = 1
    with pytest.raises(ModelError, match="bias for keys"):
        to_huggingface(model)


@pytest.mark.parametrize(
    ("name", "value"), [("decoder/activation", 0), ("decoder/pre_norm", 0), ("encoder/num_heads", HEADS + 1)]
)
def test_settings_of_another_network_are_refused(name: str, value: int) -> None:
    model = arrays()
    model[name] = np.array(value, model[name].dtype)
    with pytest.raises(ModelError):
        to_huggingface(model)


@pytest.mark.parametrize(
    "name", ["decoder/layer_0/gate/weight", "encoder/conv3/weight", "weight", "encoder/layer_x/ffn/linear_0/bias"]
)
def test_an_unknown_weight_is_refused_by_name(name: str) -> None:
    with pytest.raises(ModelError, match=name):
        to_huggingface(arrays() | {name: np.zeros((2, 2), np.float16)})


def test_an_incomplete_model_is_refused() -> None:
    tensors, heads = to_huggingface(arrays())
    del tensors["model.decoder.embed_tokens.weight"]
    with pytest.raises(ModelError, match="not a complete Whisper"):
        Architecture.from_shapes({name: tensor.shape for name, tensor in tensors.items()}, heads=heads)
