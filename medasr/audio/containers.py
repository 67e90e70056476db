"""Which container a file is, by its first bytes, and whether it is all there.

Only the containers named here ever reach libsndfile's parsers; the file's name has no say. Each container has its own way of
saying where it should end: WAV by a length (:mod:`medasr.audio.riff`), FLAC by the sample count in its STREAMINFO block (RFC 9639),
MP3 by the frame count in a Xing or Info frame, and OGG by the end-of-stream flag of its last page (RFC 3533).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from medasr.audio.riff import read_wav_header

#: libsndfile's names of what :func:`identify` lets through.
CONTAINERS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})

_OGG_PAGE_MAX = 27 + 255 + 255 * 255
_END_OF_STREAM = 0x04
_MP3_SLACK_FRAMES = 2 * 1152  # whether the Xing frame itself, and the padding of the last one, are counted, varies


@dataclass(frozen=True, kw_only=True)
class Promise:
    """How much a container promises, and whether its end is already known to be missing."""

    sample_rate: int | None = None  #: Hz; None where only libsndfile reads it
    declared_frames: int | None = None  #: None: the header does not say
    counts_frames: bool = False  #: the frame count that libsndfile reports is a promise, not an estimate
    slack_frames: int = 0  #: by how much encoders of this container are known to miscount
    truncated: bool = False


def identify(source: int) -> str | None:
    """The container of an open file: WAV, FLAC, OGG or MP3; None for anything else. Only the first bytes are read."""
    start = os.pread(source, 12, 0)
    if start[:4] in (b"RIFF", b"RIFX", b"RF64") and start[8:12] == b"WAVE":
        return "WAV"
    if start[:4] == b"fLaC":
        return "FLAC"
    if start[:4] == b"OggS":
        return "OGG"
    if start[:3] == b"ID3" or _is_mpeg_frame(start):
        return "MP3"
    return None


def read_promise(source: int, container: str) -> Promise | None:
    """What a file of this container promises; None when its header is not usable. The descriptor's position is not moved."""
    if container == "WAV":
        header = read_wav_header(source)
        if header is None:
            return None
        return Promise(
            sample_rate=header.sample_rate, declared_frames=header.declared_frames, truncated=header.truncated
        )
    if container == "OGG":
        return Promise(truncated=not _ogg_stream_ends(source))
    if container == "MP3":
        return Promise(counts_frames=_mp3_counts_frames(source), slack_frames=_MP3_SLACK_FRAMES)
    return Promise(counts_frames=True)


def _is_mpeg_frame(start: bytes) -> bool:
    """A frame header of MPEG audio layer II or III; layer I would also match the byte order mark of UTF-16 text."""
    return len(start) >= 2 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0 and start[1] & 0x06 in (0x02, 0x04)


def _mp3_counts_frames(source: int) -> bool:
    """Whether the first frame is a Xing or Info frame, with which encoders say how many follow."""
    tag = os.pread(source, 10, 0)
    first = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        a, b, c, d = tag[6:10]  # seven bits each, so that no tag looks like a frame
        first = 10 + (a << 21 | b << 14 | c << 7 | d)
    side_information = os.pread(source, 64, first)
    return b"Xing" in side_information or b"Info" in side_information


def _ogg_stream_ends(source: int) -> bool:
    """Whether the last page is whole and carries the end-of-stream flag, which a cut or never finished stream lacks."""
    size = os.fstat(source).st_size
    tail = os.pread(source, 2 * _OGG_PAGE_MAX, max(0, size - 2 * _OGG_PAGE_MAX))
    page = tail[tail.rfind(b"OggS\x00") :]
    if len(page) < 27 or not page[5] & _END_OF_STREAM:
        return False
    body_sizes = page[27 : 27 + page[26]]  # one byte for each of the page's segments
    return len(page) >= 27 + page[26] + sum(body_sizes)
