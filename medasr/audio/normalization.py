"""A recording as it arrived → 16 kHz mono samples as Whisper wants them.

:func:`inspect` reads a header and :func:`normalize` decodes: once to measure, once to convert, both in blocks, so memory does not
grow with the recording. Bytes are judged by content, never by name, and go to libsndfile only; there is no fallback to ffmpeg.
Hostile bytes belong into a process that may die: the daemon calls this module through ``daemon.decode``.
docs/normalization.md tells the rules and their reasons.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

from medasr.audio.containers import CONTAINERS, identify, read_promise
from medasr.audio.downmix import FULL_SCALE, FULL_SCALE_8_BIT, ChannelStatistics, Downmix
from medasr.audio.levels import FrameLevels, Loudness, decibels, limit
from medasr.errors import Reason, RecordingError
from medasr.types import SAMPLE_RATE, AudioFacts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from medasr.types import Waveform

MIN_RATE = 4_000
MAX_RATE = 384_000
MAX_CHANNELS = 16

#: Samples, over all channels, that are decoded at a time: 1 MiB of float32.
BLOCK_SAMPLES = 2**18

#: Peak above which a recording is scaled down before the resampler, whose float32 arithmetic could overflow; 120 dBFS.
MAX_PEAK = 1e6

_UNKNOWN_FRAMES = 2**62  # libsndfile reports 2**63 - 1 for a FLAC stream of unknown length
_MALLOC_FAILED = 17  # libsndfile's SFE_MALLOC_FAILED


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """What is accepted."""

    max_seconds: float = 12 * 3600.0
    accept_truncated: bool = False  #: take what there is of a cut recording, with the warning TRUNCATED


@dataclass(frozen=True, kw_only=True)
class AudioHeader:
    """What a recording's header says, before anything is decoded."""

    container: str  #: WAV, WAVEX, RF64, FLAC, OGG or MP3
    encoding: str  #: libsndfile's subtype: PCM_16, FLOAT, VORBIS ...
    sample_rate: int  #: Hz
    channels: int
    frames: int | None  #: frames that libsndfile expects to find; None where only decoding will tell
    declared_frames: int | None  #: frames that the header promises; None where it does not say
    truncated: bool  #: the end is known to be missing
    slack_frames: int = 0  #: how far decoded frames may stay behind the declared ones without being truncated

    @property
    def seconds(self) -> float | None:
        """Expected length; None where only decoding will tell."""
        return self.frames / self.sample_rate if self.frames is not None and self.sample_rate else None


def inspect(source: int) -> AudioHeader:
    """Read a recording's header.

    Given the descriptor of a regular file, return what the header says without judging it and without decoding. Raise
    RecordingError: NO_AUDIO for an empty file, BAD_FORMAT for anything but WAV, FLAC, OGG and MP3, BAD_RATE for 0 Hz.
    """
    if os.fstat(source).st_size == 0:
        raise RecordingError(Reason.NO_AUDIO, "the file is empty")
    container = identify(source)
    promise = read_promise(source, container) if container else None
    if promise is None:
        raise RecordingError(Reason.BAD_FORMAT, "not a WAV, FLAC, OGG or MP3 recording; convert it to one of these")
    if promise.sample_rate == 0:  # libsndfile calls this an internal error of its own
        raise RecordingError(Reason.BAD_RATE, "the header says 0 Hz")
    with _open(source) as recording:
        frames = recording.frames if recording.frames < _UNKNOWN_FRAMES else None
        return AudioHeader(
            container=recording.format,
            encoding=recording.subtype,
            sample_rate=recording.samplerate,
            channels=recording.channels,
            frames=frames,
            declared_frames=frames if promise.counts_frames else promise.declared_frames,
            truncated=promise.truncated,
            slack_frames=promise.slack_frames,
        )


def normalize(source: int, sink: int, limits: AudioLimits | None = None) -> AudioFacts:
    """Decode a recording to mono samples at 16 kHz, with its voice at an even level.

    Given the descriptors of a regular file with the recording and of one open for reading and writing, write raw little-endian
    float32 samples, finite and within ±1, to the latter, replacing what it held, and return what the recording turned out to be.
    Raise RecordingError with NO_AUDIO, BAD_FORMAT, BAD_RATE, TOO_MANY_CHANNELS, TOO_LONG, TRUNCATED or NOT_FINITE; OSError when
    the sink cannot take the samples. After an error the sink's content is worthless.
    """
    limits = limits or AudioLimits()
    header = inspect(source)
    _check_header(header, limits)
    samples = _Samples(source, header.channels)
    downmix = _measure(samples, header, limits)
    truncated = _check_completeness(header, samples, limits)
    scale = min(1.0, MAX_PEAK / downmix.peak) if downmix.peak else 1.0
    loudness = _convert(_Samples(source, header.channels), header.sample_rate, downmix, scale, sink)
    _apply_gain(sink, loudness.gain_db)
    return AudioFacts(
        container=header.container,
        encoding=header.encoding,
        sample_rate=header.sample_rate,
        channels=header.channels,
        frames=samples.frames,
        declared_frames=header.declared_frames,
        seconds=samples.frames / header.sample_rate,
        rms_dbfs=downmix.rms_dbfs,
        peak_dbfs=decibels(downmix.peak**2),
        dc_offset=downmix.dc_offset,
        clipped_share=downmix.clipped_share,
        snr_db=loudness.snr_db,
        gain_db=loudness.gain_db + 20 * math.log10(scale),
        warnings=(*downmix.warnings, *(("TRUNCATED",) if truncated else ())),
    )


def read_normalized(path: Path) -> Waveform:
    """Map a file that :func:`normalize` wrote: read-only float32 samples, shape ``[n]``, in memory only where they are looked at."""
    return np.memmap(path, dtype="<f4", mode="r")


def let_go(waveform: Waveform) -> None:
    """Take what was looked at of a waveform from :func:`read_normalized` out of memory again, until it is looked at once more.

    An array that is no such map is left alone.
    """
    if isinstance(waveform.base, mmap.mmap) and not waveform.flags.writeable:
        waveform.base.madvise(mmap.MADV_DONTNEED)


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A recording read once from front to back.

    soundfile seeks after every block of a seekable file, which is wasted work, and fails at the end of a FLAC stream of unknown
    length.
    """

    def seekable(self) -> bool:
        return False


class _Samples:
    """The samples of a recording, block by block."""

    def __init__(self, source: int, channels: int) -> None:
        self.frames = 0  #: decoded so far
        self.damaged = False  #: decoding ended at bytes that libsndfile could not make sense of
        self._source = source
        self._buffer = np.empty((BLOCK_SAMPLES // channels, channels), dtype=np.float32)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of shape ``[frames, channels]``; each is overwritten by the next."""
        with _open(self._source) as recording:
            while len(block := self._read(recording)):
                self.frames += len(block)
                yield block

    def _read(self, recording: soundfile.SoundFile) -> NDArray[np.float32]:
        if self.damaged:
            return self._buffer[:0]
        try:
            block: NDArray[np.float32] = recording.read(dtype="float32", out=self._buffer)
        except soundfile.LibsndfileError as error:
            _raise_if_out_of_memory(error)
            self.damaged = True
            rescued = recording.tell() - self.frames
            return self._buffer[: min(max(rescued, 0), len(self._buffer))]
        return block


def _open(source: int) -> soundfile.SoundFile:
    """Open a descriptor from its beginning. Raise RecordingError(BAD_FORMAT) when libsndfile cannot read it."""
    os.lseek(source, 0, os.SEEK_SET)
    try:
        recording = _ForwardFile(source, closefd=False)
    except soundfile.LibsndfileError as error:
        _raise_if_out_of_memory(error)
        raise RecordingError(Reason.BAD_FORMAT, f"libsndfile cannot read it: {error.error_string}") from error
    if recording.format not in CONTAINERS:  # an ID3 tag may stand before anything
        recording.close()
        raise RecordingError(Reason.BAD_FORMAT, f"{recording.format} is none of the containers that medasr takes")
    return recording


def _raise_if_out_of_memory(error: soundfile.LibsndfileError) -> None:
    if error.code == _MALLOC_FAILED:
        raise MemoryError from error


def _check_header(header: AudioHeader, limits: AudioLimits) -> None:
    """Refuse what the header alone rules out, before anything in proportion to it is allocated."""
    if not MIN_RATE <= header.sample_rate <= MAX_RATE:
        raise RecordingError(Reason.BAD_RATE, f"{header.sample_rate} Hz is outside {MIN_RATE}..{MAX_RATE} Hz")
    if header.channels > MAX_CHANNELS:
        raise RecordingError(Reason.TOO_MANY_CHANNELS, f"{header.channels} channels; at most {MAX_CHANNELS} are taken")
    if header.frames == 0:
        raise RecordingError(Reason.NO_AUDIO, "the header announces no samples")
    if header.truncated and not limits.accept_truncated:
        raise RecordingError(Reason.TRUNCATED, _shortfall(header, header.frames))
    if header.seconds is not None:
        _check_length(header.seconds, limits)


def _check_length(seconds: float, limits: AudioLimits) -> None:
    if seconds > limits.max_seconds:
        raise RecordingError(
            Reason.TOO_LONG, f"longer than {limits.max_seconds:.0f} s; split it, or raise intake.max_seconds"
        )


def _check_completeness(header: AudioHeader, samples: _Samples, limits: AudioLimits) -> bool:
    """Whether the end is missing, now that everything there is has been decoded."""
    promised = (header.declared_frames or 0) - header.slack_frames
    truncated = header.truncated or samples.damaged or samples.frames < promised
    if truncated and not limits.accept_truncated:
        raise RecordingError(Reason.TRUNCATED, _shortfall(header, samples.frames))
    return truncated


def _shortfall(header: AudioHeader, frames: int | None) -> str:
    """How much of a cut recording is there, in words."""
    remedy = "send it again, or set intake.truncated to transcribe what is there"
    if not frames or not header.declared_frames:
        return f"the recording has no end; {remedy}"
    held, promised = frames / header.sample_rate, header.declared_frames / header.sample_rate
    return f"holds {held:.1f} s of the {promised:.1f} s that its header promises; {remedy}"


def _measure(samples: _Samples, header: AudioHeader, limits: AudioLimits) -> Downmix:
    """First pass: everything that has to be known before a sample can be changed."""
    eight_bit = header.encoding in ("PCM_U8", "PCM_S8")
    statistics = ChannelStatistics(header.channels, FULL_SCALE_8_BIT if eight_bit else FULL_SCALE)
    for block in samples:
        statistics.add(block)
        if not statistics.finite:
            raise RecordingError(Reason.NOT_FINITE, "holds samples that are not numbers (NaN or infinity)")
        _check_length(samples.frames / header.sample_rate, limits)
    if not statistics.frames:
        raise RecordingError(Reason.NO_AUDIO, "no samples could be decoded")
    return statistics.downmix()


def _convert(samples: _Samples, rate: int, downmix: Downmix, scale: float, sink: int) -> Loudness:
    """Second pass: mix, remove DC and resample into the sink; return how loud the outcome is.

    soxr's stream gives bit for bit what its one-shot call gives for the whole recording, so there are no seams between blocks.
    """
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    levels = FrameLevels()
    os.ftruncate(sink, 0)
    os.lseek(sink, 0, os.SEEK_SET)
    with os.fdopen(sink, "wb", closefd=False) as stream:
        for block in samples:
            mono = (block @ downmix.weights - downmix.dc_offset) * scale
            waveform = resampler.resample_chunk(mono.astype(np.float32))
            levels.add(waveform)
            stream.write(waveform.astype("<f4").tobytes())
        waveform = resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        levels.add(waveform)
        stream.write(waveform.astype("<f4").tobytes())
        if not stream.tell():
            raise RecordingError(Reason.NO_AUDIO, "shorter than one sample at 16 kHz")
    return levels.loudness()


def _apply_gain(sink: int, gain_db: float) -> None:
    """Raise or lower what the sink holds, in place, within the limiter's ceiling."""
    factor = np.float32(10 ** (gain_db / 20))
    with os.fdopen(sink, "r+b", closefd=False) as stream:
        stream.seek(0)
        while chunk := stream.read(BLOCK_SAMPLES * 4):
            waveform = limit(np.frombuffer(chunk, dtype="<f4") * factor)
            stream.seek(-len(chunk), os.SEEK_CUR)
            stream.write(waveform.astype("<f4").tobytes())
