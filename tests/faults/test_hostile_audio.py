"""Recordings that lie, hang, eat memory or crash the decoder: each ends with its reason, and the next one is served."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.decode.host import COMMAND, DecodeServer
from daemon.decode.server import DecodeLimits
from medasr.audio import AudioLimits, normalize
from medasr.errors import Reason, RecordingError, TransientError
from medasr.types import AudioFacts
from tests.support import misbehaving_decoder, recordings
from tests.support.misbehaving_decoder import misbehave

LIMITS = DecodeLimits(
    max_seconds=12 * 3600, accept_truncated=False, memory_bytes=2**29, seconds_floor=60, speed_floor=4
)
SHORT = replace(LIMITS, max_seconds=1.0, seconds_floor=0.25, memory_bytes=2**26)


@pytest.fixture(scope="module")
def server() -> Iterator[DecodeServer]:
    with DecodeServer((*COMMAND, misbehaving_decoder.MODULE)) as running:
        yield running


def decode(server: DecodeServer, recording: Path, limits: DecodeLimits = LIMITS) -> AudioFacts:
    source = os.open(recording, os.O_RDONLY)
    sink = os.open(recording.with_suffix(".f32"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        return server.decode(source, sink, limits)
    finally:
        os.close(source)
        os.close(sink)


@pytest.mark.parametrize("sample", recordings.HOSTILE, ids=lambda sample: sample.name)
def test_a_hostile_recording_is_refused_with_its_reason(
    server: DecodeServer, sample: recordings.Sample, tmp_path: Path
) -> None:
    recording = tmp_path / "Jane Doe.wav"
    sample.write(recording)
    with pytest.raises(RecordingError) as raised:
        decode(server, recording)
    assert raised.value.reason is sample.reason
    assert "Jane" not in str(raised.value)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("hang", Reason.DECODER_TIMEOUT),
        ("spin", Reason.DECODER_TIMEOUT),
        ("spin deaf", Reason.DECODER_TIMEOUT),
        ("hang deaf", Reason.DECODER_TIMEOUT),
        ("hog", Reason.DECODER_MEMORY),
        ("segfault", Reason.DECODER_CRASHED),
        ("quit", Reason.DECODER_CRASHED),
        ("blunder", Reason.DECODER_CRASHED),
        ("lie", Reason.DECODER_CRASHED),
        ("flood", Reason.TOO_LONG),
    ],
)
def test_a_decoder_that_misbehaves_ends_and_the_next_recording_is_served(
    server: DecodeServer, how: str, reason: Reason, tmp_path: Path
) -> None:
    server.start()
    process = server.process_id
    with pytest.raises(RecordingError) as raised:
        decode(server, misbehave(tmp_path / "visit.wav", how), SHORT)
    assert raised.value.reason is reason
    recordings.wav_16_bit(tmp_path / "next.wav")
    assert decode(server, tmp_path / "next.wav").frames == 32_000
    assert server.process_id == process, "only the child died"


@pytest.mark.parametrize("how", ["disk full", "killed"])
def test_trouble_of_the_machine_is_not_blamed_on_the_recording(server: DecodeServer, how: str, tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        decode(server, misbehave(tmp_path / "visit.wav", how))


def test_a_fault_in_the_program_is_located_without_quoting_the_recording(server: DecodeServer, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"ValueError at misbehaving_decoder\.py:\d+") as raised:
        decode(server, misbehave(tmp_path / "visit.wav", "blunder"))
    assert "Jane" not in str(raised.value)


def test_the_child_is_confined(server: DecodeServer, tmp_path: Path) -> None:
    with pytest.raises(TransientError):
        decode(server, misbehave(tmp_path / "visit.wav", "report confinement"))
    report = (tmp_path / "visit.f32").read_text()
    bounds = {line[:26].strip(): line[26:47].strip() for line in report.splitlines() if line.startswith("Max ")}
    assert bounds["Max core file size"] == "0"
    assert bounds["Max processes"] == "0"
    assert int(bounds["Max open files"]) <= 64
    assert int(bounds["Max cpu time"]) <= LIMITS.seconds_ceiling + 1
    assert LIMITS.memory_bytes < int(bounds["Max address space"]) < LIMITS.memory_bytes + 2**29
    assert re.search(r"^NoNewPrivs:\s+1$", report, re.MULTILINE)


@pytest.mark.parametrize("sample", recordings.WELL_FORMED, ids=lambda sample: sample.name)
def test_a_recording_cut_anywhere_is_either_refused_or_complete(sample: recordings.Sample, tmp_path: Path) -> None:
    """No cut passes unnoticed, except where the container leaves its length open or the cut hits no sample."""
    recording = tmp_path / "visit.wav"
    sample.write(recording)
    content = recording.read_bytes()
    whole = _normalized_frames(recording)
    for parts in range(1, 12):
        recording.write_bytes(content[: len(content) * parts // 12])
        frames = _normalized_frames(recording)
        assert frames in (None, whole) or "unknown_length" in sample.name


def _normalized_frames(recording: Path) -> int | None:
    with recording.open("rb") as source, recording.with_suffix(".f32").open("w+b") as sink:
        try:
            return normalize(source.fileno(), sink.fileno(), AudioLimits()).frames
        except RecordingError:
            return None
