"""The same weights for every program that is compared, and medasr among them as the daemon runs it."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks.programs.ggml import write_ggml
from benchmarks.programs.openai_weights import openai_weights
from benchmarks.programs.running import STOCK, Running
from benchmarks.programs.written import SHORT
from benchmarks.speech import normalized, sample_recordings

pytestmark = [pytest.mark.whisper, pytest.mark.usefixtures("tiny_whisper")]
MODEL = "whisper-tiny.en"


def integers(stream: io.BytesIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}i", stream.read(4 * count))


def test_whisper_cpp_gets_every_number_of_the_weights() -> None:
    weights = openai_weights(MODEL)
    stream = io.BytesIO()
    write_ggml(weights, stream)
    stream.seek(0)
    assert integers(stream, 12) == (0x67676D6C, 51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)
    bins, frequencies = integers(stream, 2)
    stream.read(4 * bins * frequencies)
    (count,) = integers(stream, 1)
    tokens = [stream.read(integers(stream, 1)[0]) for _ in range(count)]
    assert count == 50256
    assert tokens[0] == b"!"
    assert tokens[464] == b"The"
    assert b" the" in tokens
    found = {}
    while header := stream.read(12):
        rank, length, kind = struct.unpack("<3i", header)
        shape = tuple(reversed(integers(stream, rank)))
        name = stream.read(length).decode()
        type_ = np.dtype("<f2" if kind else "<f4")
        found[name] = np.frombuffer(stream.read(type_.itemsize * int(np.prod(shape))), type_).reshape(shape)
    assert found.keys() == weights.tensors.keys()
    for name, tensor in weights.tensors.items():
        assert np.array_equal(np.squeeze(found[name]), tensor), name


def test_openai_whispers_names_are_those_of_its_modules() -> None:
    names = set(openai_weights(MODEL).tensors)
    assert {"encoder.positional_embedding", "decoder.token_embedding.weight", "decoder.ln.weight"} <= names
    assert {"encoder.blocks.3.attn.key.weight", "decoder.blocks.0.cross_attn.value.bias"} <= names
    assert {"encoder.blocks.0.mlp.2.weight", "decoder.blocks.3.cross_attn_ln.bias", "encoder.ln_post.bias"} <= names
    assert not [name for name in names if "layers" in name or "proj" in name]


def test_medasr_transcribes_in_a_process_of_its_own(tmp_path: Path) -> None:
    recordings = [one.pcm for one in normalized(sample_recordings(), tmp_path)]
    with Running(STOCK, MODEL) as process:
        taken = process.transcribe(recordings, SHORT)
    assert len(taken.written) == len(recordings)
    assert all(one.text and one.spans for one in taken.written)
    assert any("diabetes" in one.text for one in taken.written)
    assert taken.seconds > 0
    assert taken.peak_bytes > 2**27
