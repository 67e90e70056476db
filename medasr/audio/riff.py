"""What a WAV file's header promises, set against what the file holds.

libsndfile opens a WAV that was cut in half without a word and reports the half as the whole. This module reads the chunks
itself, so that half a consultation is never taken for all of it. Layout: Multimedia Programming Interface and Data
Specifications 1.0 (RIFF, 1991) and EBU Tech 3306 (RF64, 2009).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

#: Left in the header by a recorder that streams, or that lost power before it could write the length.
UNKNOWN_LENGTH = 0xFFFF_FFFF

#: Chunks read before giving up: real files have a handful, a hostile one may consist of nothing but empty chunks.
MAX_CHUNKS = 1024

#: Format tags whose frames all have the same size: PCM, IEEE float, A-law, µ-law, extensible.
_FIXED_FRAME_TAGS = frozenset({0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE})


@dataclass(frozen=True, kw_only=True)
class WavHeader:
    """The promise of a WAV header and how much of it was kept."""

    sample_rate: int | None  #: Hz; None without a fmt chunk
    declared_bytes: int | None  #: of samples; None where the header leaves the length open
    declared_frames: int | None  #: None where the header does not say
    present_bytes: int  #: from the first sample to the end of the file

    @property
    def truncated(self) -> bool:
        """Whether the file ends before the samples its header promises."""
        return self.declared_bytes is not None and self.declared_bytes > self.present_bytes


def read_wav_header(source: int) -> WavHeader | None:
    """Read the chunks up to the samples.

    Given the descriptor of a regular file that begins with RIFF, RIFX or RF64, return what its header promises, or None when
    no samples follow within :data:`MAX_CHUNKS` chunks. The descriptor's position is not moved.
    """
    size = os.fstat(source).st_size
    order = ">" if os.pread(source, 4, 0) == b"RIFX" else "<"
    rate, align, fact, long_length = None, 0, None, None
    position = 12
    for _ in range(MAX_CHUNKS):
        name, length = _chunk(source, position, order)
        body = position + 8
        if name == b"data":
            declared = _declared(length, long_length)
            return WavHeader(
                sample_rate=rate,
                declared_bytes=declared,
                declared_frames=_frames(declared, align, fact),
                present_bytes=max(0, size - body),
            )
        if name == b"fmt ":
            rate, align = _format(os.pread(source, 16, body), order)
        elif name == b"fact" and length >= 4:
            fact = _integer(os.pread(source, 4, body), order + "I")
        elif name == b"ds64":
            long_length = _integer(os.pread(source, 16, body)[8:], order + "Q")
        position = body + length + length % 2
        if not name or position >= size:
            return None
    return None


def _frames(declared: int | None, align: int, fact: int | None) -> int | None:
    """Frames promised; of compressed formats, whose ``align`` is 0, only the fact chunk knows."""
    if not align:
        return fact
    return None if declared is None else declared // align


def _declared(length: int, long_length: int | None) -> int | None:
    """The data chunk's length; RF64 keeps it in the ds64 chunk and marks the 32-bit field as unknown."""
    if length != UNKNOWN_LENGTH:
        return length
    if long_length in (None, 0, UNKNOWN_LENGTH, 0xFFFF_FFFF_FFFF_FFFF):
        return None
    return long_length


def _chunk(source: int, position: int, order: str) -> tuple[bytes, int]:
    """A chunk's name and length; an empty name at the end of the file."""
    header = os.pread(source, 8, position)
    if len(header) < 8:
        return b"", 0
    return header[:4], struct.unpack(order + "I", header[4:])[0]


def _format(body: bytes, order: str) -> tuple[int | None, int]:
    """The sampling rate, and the bytes of one frame: 0 where frames have no fixed size."""
    if len(body) < 16:
        return None, 0
    tag, _, rate, _, align, _ = struct.unpack(order + "HHIIHH", body)
    return int(rate), int(align) if tag in _FIXED_FRAME_TAGS else 0


def _integer(body: bytes, layout: str) -> int | None:
    return int(struct.unpack(layout, body)[0]) if len(body) == struct.calcsize(layout) else None
