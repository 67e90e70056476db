"""What a WAV header promises, against what the file holds."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medasr.audio.riff import WavHeader, read_wav_header
from tests.support import recordings
from tests.support.recordings import pcm16, tone, wav_bytes

BODY = pcm16(tone())


@pytest.fixture
def descriptor() -> Iterator[int]:
    opened = os.memfd_create("recording")
    yield opened
    os.close(opened)


def header_of(descriptor: int, content: bytes) -> WavHeader | None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, content, 0)
    return read_wav_header(descriptor)


def test_a_whole_file_keeps_its_promise(descriptor: int) -> None:
    header = header_of(descriptor, wav_bytes(BODY))
    assert header == WavHeader(sample_rate=16_000, declared_bytes=32_000, declared_frames=16_000, present_bytes=32_000)
    assert not header.truncated


def test_one_missing_byte_is_noticed(descriptor: int) -> None:
    header = header_of(descriptor, wav_bytes(BODY)[:-1])
    assert header is not None
    assert header.truncated


def test_a_chunk_behind_the_samples_is_no_shortfall(descriptor: int) -> None:
    header = header_of(descriptor, wav_bytes(BODY) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    assert header is not None
    assert not header.truncated


def test_chunks_before_the_samples_are_skipped_with_their_padding(descriptor: int) -> None:
    plain = wav_bytes(BODY)
    header = header_of(descriptor, plain[:12] + b"note" + struct.pack("<I", 3) + b"abc\0" + plain[12:])
    assert header is not None
    assert header.declared_frames == 16_000


def test_a_length_that_was_never_written_promises_nothing(descriptor: int) -> None:
    header = header_of(descriptor, wav_bytes(BODY, declared=0xFFFF_FFFF))
    assert header is not None
    assert header.declared_bytes is None
    assert not header.truncated


def test_a_zero_length_promises_no_samples(descriptor: int) -> None:
    header = header_of(descriptor, wav_bytes(BODY, declared=0))
    assert header is not None
    assert header.declared_frames == 0


def test_rf64_keeps_its_length_in_the_ds64_chunk(tmp_path: Path, descriptor: int) -> None:
    recordings.rf64(tmp_path / "long.wav")
    content = (tmp_path / "long.wav").read_bytes()
    whole, half = header_of(descriptor, content), header_of(descriptor, content[: len(content) // 2])
    assert whole is not None
    assert half is not None
    assert whole.declared_frames == half.declared_frames == 32_000
    assert (whole.truncated, half.truncated) == (False, True)


def test_big_endian_headers_are_read(tmp_path: Path, descriptor: int) -> None:
    recordings.wav_big_endian(tmp_path / "old.wav")
    header = header_of(descriptor, (tmp_path / "old.wav").read_bytes())
    assert header is not None
    assert (header.sample_rate, header.declared_frames) == (16_000, 32_000)


def test_frames_of_compressed_formats_come_from_the_fact_chunk(tmp_path: Path, descriptor: int) -> None:
    recordings.wav_gsm(tmp_path / "dictation.wav")
    header = header_of(descriptor, (tmp_path / "dictation.wav").read_bytes())
    assert header is not None
    assert header.declared_frames == 16_000


def test_a_file_of_nothing_but_empty_chunks_is_given_up(tmp_path: Path, descriptor: int) -> None:
    recordings.only_empty_chunks(tmp_path / "endless.wav")
    assert header_of(descriptor, (tmp_path / "endless.wav").read_bytes()) is None


@given(cut=st.integers(0, 60), flip=st.integers(0, 59), value=st.integers(0, 255))
def test_no_header_however_broken_raises(cut: int, flip: int, value: int) -> None:
    content = bytearray(wav_bytes(BODY[:16]))
    content[flip] = value
    descriptor = os.memfd_create("recording")
    try:
        header_of(descriptor, bytes(content[:cut]))
    finally:
        os.close(descriptor)
