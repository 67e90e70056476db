"""Looks for text that is too short for its time, and writes it once more in pieces.

Whisper now and then jumps over most of a window: it opens a segment at the beginning, writes a sentence that is said much later, and closes
the segment at the end, as sure of itself as ever. No time tells it, but nobody speaks that slowly. In shorter pieces there is less to
jump over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from medasr.types import SAMPLE_RATE
from medasr.whisper.continuation import is_sure, moved
from medasr.whisper.decoding import TIMESTAMP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medasr.types import Waveform
    from medasr.whisper.decoding import DecodedWindow, DecodingTokens

#: A segment of at least so many seconds with less than a token of text for each is too short. People say three to four in a second.
_SECONDS = 6.0
_TOKENS_PER_SECOND = 1.0
#: What is quiet for so long is where words are parted.
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class SparseSegment:
    """A segment whose text is too short for its time."""

    first: int  #: place of the token of its start
    last: int  #: and of its end
    start: float  #: seconds from the beginning of the window
    end: float


def sparse_segment(decoded: DecodedWindow, tokens: DecodingTokens, seconds: float) -> SparseSegment | None:
    """The first segment of a window of that length with a text that is too short for its time; None when there is none.

    A model may write times beyond the end of a window, in the silence that fills it up: that is nobody's time.
    """
    begin = tokens.timestamp_begin
    times = [place for place, token in enumerate(decoded.tokens) if token >= begin]
    for first, last in pairwise(times):
        start, end = (min((decoded.tokens[place] - begin) * TIMESTAMP_SECONDS, seconds) for place in (first, last))
        written = last - first - 1
        if written and end - start >= _SECONDS and written < _TOKENS_PER_SECOND * (end - start):
            return SparseSegment(first=first, last=last, start=start, end=end)
    return None


def quietest(waveform: Waveform) -> int:
    """The sample in the middle half of a waveform around which it is quietest: where it may be cut."""
    width = round(_PAUSE_SECONDS * SAMPLE_RATE)
    power = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
    first = len(waveform) // 4
    around = power[first + width : len(waveform) - first + 1] - power[first : len(waveform) - first + 1 - width]
    return first + int(np.argmin(around)) + width // 2


def rewritten(
    decoded: DecodedWindow,
    segment: SparseSegment,
    pieces: Sequence[tuple[float, DecodedWindow]],
    tokens: DecodingTokens,
) -> DecodedWindow:
    """A window's text with that of a segment's pieces in its place.

    Given when each piece begins, in seconds from the beginning of the window, and what was written for it. The text stays as it is
    unless the pieces have more, and the model is sure of all of them that have any. Times end with the segment.
    """
    spoken = [(start, piece) for start, piece in pieces if piece.words(tokens)]
    more = sum(len(piece.words(tokens)) for _, piece in spoken) >= segment.last - segment.first
    if not more or not all(is_sure(piece, tokens) for _, piece in spoken):
        return decoded
    latest = tokens.timestamp_begin + round(segment.end / TIMESTAMP_SECONDS)
    written: list[int] = []
    values: list[float] = []
    biased = {place for place in decoded.biased if place < segment.first}
    for start, piece in spoken:
        biased |= {segment.first + len(written) + place for place in piece.biased}
        written += moved(piece.tokens, tokens, start, latest)
        values += piece.log_probabilities
    after = segment.last + 1
    further = segment.first + len(written) - after
    return replace(
        decoded,
        tokens=(*decoded.tokens[: segment.first], *written, *decoded.tokens[after:]),
        log_probabilities=(*decoded.log_probabilities[: segment.first], *values, *decoded.log_probabilities[after:]),
        biased=frozenset(biased | {place + further for place in decoded.biased if place >= after}),
    )
