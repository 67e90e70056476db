"""Recordings for tests, good and hostile: plain functions that write one file each to the path given.

All sound is synthetic. ``WELL_FORMED`` and ``HOSTILE`` list the writers with what normalization must make of them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from medasr.errors import Reason

Samples = NDArray[np.float32]
Writer = Callable[[Path], None]


def tone(seconds: float = 1.0, *, rate: int = 16_000, hertz: float = 440.0, level: float = 0.25) -> Samples:
    """A sine of the given peak level, shape ``[n]``."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def noise(seconds: float = 1.0, *, rate: int = 16_000, level: float = 0.1, seed: int = 0) -> Samples:
    """White noise of the given RMS level, shape ``[n]``."""
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def voice(
    seconds: float = 2.0, *, rate: int = 16_000, level: float = 0.1, noise_level: float = 1e-4, seed: int = 0
) -> Samples:
    """Something with the rhythm of speech: four syllables a second of a buzzing 120 Hz tone with pauses, over faint noise."""
    time = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * harmonic * time) / harmonic for harmonic in range(1, 9))
    syllables = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) * (np.sin(2 * np.pi * 0.5 * time) > -0.7)
    return (level * buzz * syllables).astype(np.float32) + noise(seconds, rate=rate, level=noise_level, seed=seed)


def write_wav(path: Path, samples: Samples, rate: int = 16_000, encoding: str = "PCM_16") -> Path:
    """Write samples, shape ``[n]`` or ``[n, channels]``, as WAV."""
    soundfile.write(path, samples, rate, format="WAV", subtype=encoding)
    return path


def write_as(path: Path, samples: Samples, rate: int, container: str, encoding: str) -> Path:
    """Write samples in any container that libsndfile can write, whatever the path's extension."""
    soundfile.write(path, samples, rate, format=container, subtype=encoding)
    return path


def wav_bytes(
    body: bytes, *, rate: int = 16_000, channels: int = 1, bits: int = 16, tag: int = 1, declared: int | None = None
) -> bytes:
    """A WAV file put together by hand, so that its header can lie."""
    align = channels * bits // 8
    declared = len(body) if declared is None else declared
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFF_FFFF, align & 0xFFFF, bits)
    header = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", declared)
    return b"RIFF" + struct.pack("<I", min(len(header) + declared, 0xFFFF_FFFF)) + header + body


def pcm16(samples: Samples) -> bytes:
    """Samples as little-endian 16-bit integers."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


# Well-formed


def wav_8_bit(path: Path) -> None:
    write_wav(path, voice(), encoding="PCM_U8")


def wav_16_bit(path: Path) -> None:
    write_wav(path, voice())


def wav_24_bit(path: Path) -> None:
    write_wav(path, voice(rate=48_000), 48_000, "PCM_24")


def wav_32_bit(path: Path) -> None:
    write_wav(path, voice(), encoding="PCM_32")


def wav_float(path: Path) -> None:
    write_wav(path, voice(), encoding="FLOAT")


def wav_double(path: Path) -> None:
    write_wav(path, voice(), encoding="DOUBLE")


def wav_mu_law(path: Path) -> None:
    """As telephones record."""
    write_wav(path, voice(rate=8_000), 8_000, "ULAW")


def wav_ima_adpcm(path: Path) -> None:
    """As dictation machines record."""
    write_wav(path, voice(), encoding="IMA_ADPCM")


def wav_gsm(path: Path) -> None:
    write_wav(path, voice(rate=8_000), 8_000, "GSM610")


def wav_stereo(path: Path) -> None:
    left = voice(rate=44_100)
    write_wav(path, np.stack([left, 0.5 * left], axis=1), 44_100)


def wav_big_endian(path: Path) -> None:
    """RIFX."""
    soundfile.write(path, voice(), 16_000, format="WAV", subtype="PCM_16", endian="BIG")


def wav_of_unknown_length(path: Path) -> None:
    """``data`` = 0xFFFFFFFF: the recorder never came to write the length."""
    path.write_bytes(wav_bytes(pcm16(voice()), declared=0xFFFF_FFFF))


def wav_with_trailing_chunk(path: Path) -> None:
    """A LIST chunk behind the samples, as editors leave."""
    path.write_bytes(wav_bytes(pcm16(voice())) + b"LIST" + struct.pack("<I", 4) + b"INFO")


def rf64(path: Path) -> None:
    write_as(path, voice(), 16_000, "RF64", "PCM_16")


def flac(path: Path) -> None:
    write_as(path, voice(rate=44_100), 44_100, "FLAC", "PCM_16")


def flac_of_unknown_length(path: Path) -> None:
    """STREAMINFO without a sample count, as streaming encoders write it."""
    content = bytearray(_encoded("FLAC", "PCM_16"))
    fields = int.from_bytes(content[18:26], "big") & ~((1 << 36) - 1)
    content[18:26] = fields.to_bytes(8, "big")
    path.write_bytes(content)


def ogg_vorbis(path: Path) -> None:
    write_as(path, voice(rate=44_100), 44_100, "OGG", "VORBIS")


def ogg_opus(path: Path) -> None:
    write_as(path, voice(rate=48_000), 48_000, "OGG", "OPUS")


def mp3(path: Path) -> None:
    write_as(path, voice(rate=44_100), 44_100, "MP3", "MPEG_LAYER_III")


def mp3_with_tag(path: Path) -> None:
    """An ID3v2 tag of 300 bytes in front."""
    size = 300
    path.write_bytes(
        b"ID3\x04\x00\x00" + bytes([0, 0, size >> 7, size & 0x7F]) + bytes(size) + _encoded("MP3", "MPEG_LAYER_III")
    )


def silence(path: Path, seconds: float = 2.0) -> None:
    write_wav(path, np.zeros(round(seconds * 16_000), dtype=np.float32))


def faint_noise(path: Path) -> None:
    """An empty room: noise at -66 dBFS."""
    write_wav(path, noise(2.0, level=5e-4))


def clipped(path: Path) -> None:
    write_wav(path, np.clip(8 * voice(), -1, 1))


def with_dc_offset(path: Path) -> None:
    write_wav(path, voice() + np.float32(0.2))


def beyond_full_scale(path: Path) -> None:
    """A float file with samples up to a million."""
    write_wav(path, 1e7 * voice(), encoding="FLOAT")


def inverted_channel(path: Path) -> None:
    """Stereo whose right channel is the left one with opposite polarity: their mean is silence."""
    left = voice(rate=44_100)
    write_wav(path, np.stack([left, -0.9 * left], axis=1), 44_100)


def dead_channel(path: Path) -> None:
    """Stereo with nothing plugged into the right channel but hiss."""
    write_wav(path, np.stack([voice(rate=44_100), noise(2.0, rate=44_100, level=1e-5)], axis=1), 44_100)


def sixteen_channels(path: Path) -> None:
    write_wav(path, np.repeat(voice()[:, None], 16, axis=1))


# Hostile


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half_wav(path: Path) -> None:
    """A WAV cut in half: libsndfile opens it and reports half the frames without a word."""
    content = wav_bytes(pcm16(voice()))
    path.write_bytes(content[: 44 + (len(content) - 44) // 2])


def half_rf64(path: Path) -> None:
    rf64(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def header_only(path: Path) -> None:
    path.write_bytes(wav_bytes(b""))


def header_that_promises(path: Path) -> None:
    """A header of two seconds, and nothing after it."""
    path.write_bytes(wav_bytes(b"", declared=64_000))


def zero_length_in_header(path: Path) -> None:
    """``data`` = 0, with samples behind it."""
    path.write_bytes(wav_bytes(pcm16(voice()), declared=0))


def cut_inside_header(path: Path) -> None:
    path.write_bytes(wav_bytes(pcm16(voice()))[:30])


def only_empty_chunks(path: Path) -> None:
    path.write_bytes(b"RIFF" + struct.pack("<I", 0xFFFF) + b"WAVE" + (b"junk" + bytes(4)) * 5_000)


def one_hertz(path: Path) -> None:
    """A small file that is eleven days long."""
    path.write_bytes(wav_bytes(bytes(2_000_000), rate=1))


def zero_hertz(path: Path) -> None:
    path.write_bytes(wav_bytes(bytes(64_000), rate=0))


def too_fast(path: Path) -> None:
    path.write_bytes(wav_bytes(bytes(64_000), rate=2_822_400))


def seventeen_channels(path: Path) -> None:
    write_wav(path, np.zeros((1_600, 17), dtype=np.float32))


def thousand_channels(path: Path) -> None:
    path.write_bytes(wav_bytes(bytes(2 * 1024 * 100), channels=1024))


def thirteen_hours(path: Path) -> None:
    """A sparse file of 4 kHz samples."""
    size = 13 * 3600 * 4_000
    path.write_bytes(wav_bytes(b"", rate=4_000, bits=8, declared=size))
    with path.open("r+b") as stream:
        stream.truncate(44 + size)


def not_a_number(path: Path) -> None:
    samples = voice()
    samples[12_345] = np.nan
    write_wav(path, samples, encoding="FLOAT")


def infinite(path: Path) -> None:
    samples = voice()
    samples[-1] = -np.inf
    write_wav(path, samples, encoding="FLOAT")


def double_beyond_float(path: Path) -> None:
    """1e300 is finite as float64 and infinite as float32."""
    path.write_bytes(wav_bytes(np.full(16_000, 1e300).astype("<f8").tobytes(), tag=3, bits=64))


def text(path: Path) -> None:
    path.write_text("Patient reports chest pain since Tuesday.\n" * 100, encoding="utf-8")


def utf16_text(path: Path) -> None:
    """Its byte order mark FF FE looks like the first bytes of an MPEG frame."""
    path.write_text("Patient reports chest pain since Tuesday.\n" * 100, encoding="utf-16")


def playlist(path: Path) -> None:
    """An m3u8 that asks a careless player to read local files and URLs."""
    path.write_text(
        "#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXTINF:10,\nhttp://127.0.0.1:9/leak.ts\n", encoding="utf-8"
    )


def pdf(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 20)


def random_bytes(path: Path) -> None:
    path.write_bytes(b"\x00" + np.random.default_rng(1).bytes(100_000))


def tag_without_music(path: Path) -> None:
    """An ID3 tag followed by noise."""
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + b"\x00" * 50_000)


def aiff(path: Path) -> None:
    """libsndfile would read it; medasr does not take it, which keeps that parser out of reach."""
    write_as(path, voice(), 16_000, "AIFF", "PCM_16")


def half_flac(path: Path) -> None:
    """libFLAC says "lost sync" where the file ends."""
    content = _encoded("FLAC", "PCM_16")
    path.write_bytes(content[: len(content) // 2])


def damaged_flac(path: Path) -> None:
    content = bytearray(_encoded("FLAC", "PCM_16"))
    middle = len(content) // 2
    content[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(content)


def half_ogg(path: Path) -> None:
    """libsndfile reports what is left as the whole; only the end-of-stream flag is missing."""
    content = _encoded("OGG", "VORBIS")
    path.write_bytes(content[: len(content) // 2])


def half_mp3(path: Path) -> None:
    content = _encoded("MP3", "MPEG_LAYER_III")
    path.write_bytes(content[: len(content) // 2])


def _encoded(container: str, encoding: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, voice(4.0, rate=44_100, noise_level=0.01), 44_100, format=container, subtype=encoding)
    return buffer.getvalue()


@dataclass(frozen=True)
class Sample:
    """A kind of recording and what becomes of it."""

    write: Writer
    reason: Reason | None = None  #: None: it is accepted

    @property
    def name(self) -> str:
        """For parametrized tests."""
        return self.write.__name__


WELL_FORMED = tuple(
    map(
        Sample,
        (
            wav_8_bit,
            wav_16_bit,
            wav_24_bit,
            wav_32_bit,
            wav_float,
            wav_double,
            wav_mu_law,
            wav_ima_adpcm,
            wav_gsm,
            wav_stereo,
            wav_big_endian,
            wav_of_unknown_length,
            wav_with_trailing_chunk,
            rf64,
            flac,
            flac_of_unknown_length,
            ogg_vorbis,
            ogg_opus,
            mp3,
            mp3_with_tag,
            silence,
            faint_noise,
            clipped,
            with_dc_offset,
            beyond_full_scale,
            inverted_channel,
            dead_channel,
            sixteen_channels,
        ),
    )
)

HOSTILE = (
    Sample(empty, Reason.NO_AUDIO),
    Sample(header_only, Reason.NO_AUDIO),
    Sample(header_that_promises, Reason.NO_AUDIO),
    Sample(zero_length_in_header, Reason.NO_AUDIO),
    Sample(half_wav, Reason.TRUNCATED),
    Sample(half_rf64, Reason.TRUNCATED),
    Sample(half_flac, Reason.TRUNCATED),
    Sample(damaged_flac, Reason.TRUNCATED),
    Sample(half_ogg, Reason.TRUNCATED),
    Sample(half_mp3, Reason.TRUNCATED),
    Sample(cut_inside_header, Reason.BAD_FORMAT),
    Sample(only_empty_chunks, Reason.BAD_FORMAT),
    Sample(text, Reason.BAD_FORMAT),
    Sample(utf16_text, Reason.BAD_FORMAT),
    Sample(playlist, Reason.BAD_FORMAT),
    Sample(pdf, Reason.BAD_FORMAT),
    Sample(random_bytes, Reason.BAD_FORMAT),
    Sample(tag_without_music, Reason.BAD_FORMAT),
    Sample(aiff, Reason.BAD_FORMAT),
    Sample(one_hertz, Reason.BAD_RATE),
    Sample(zero_hertz, Reason.BAD_RATE),
    Sample(too_fast, Reason.BAD_RATE),
    Sample(seventeen_channels, Reason.TOO_MANY_CHANNELS),
    Sample(thousand_channels, Reason.TOO_MANY_CHANNELS),
    Sample(thirteen_hours, Reason.TOO_LONG),
    Sample(not_a_number, Reason.NOT_FINITE),
    Sample(infinite, Reason.NOT_FINITE),
    Sample(double_beyond_float, Reason.NOT_FINITE),
)
