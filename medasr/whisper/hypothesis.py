"""From the tokens of a window to what the model wrote: text in segments with times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medasr.quality import compression_ratio
from medasr.types import Hypothesis, HypothesisSegment
from medasr.whisper.alignment import biased_words, words_of
from medasr.whisper.decoding import TIMESTAMP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from medasr.whisper.alignment import Timing
    from medasr.whisper.decoding import DecodedWindow, DecodingTokens


def hypothesis_of(
    decoded: DecodedWindow,
    tokens: DecodingTokens,
    seconds: float,
    to_text: Callable[[list[int]], str],
    timing: Timing | None = None,
) -> Hypothesis:
    """Given a window's tokens, its length, the tokenizer's way back to text, and when the tokens were said, return what the model wrote.

    Times lie within the window. The mean log-probability is that of the text and its end: how sure the model is of a timestamp says
    nothing about the words.
    """
    segments: list[HypothesisSegment] = []
    values: list[float] = []
    for start, end, places in _pieces(decoded, tokens.timestamp_begin, seconds):
        piece_values = [decoded.log_probabilities[place] for place in places]
        segments.append(
            HypothesisSegment(
                start=start,
                end=end,
                text=to_text([decoded.tokens[place] for place in places]).strip(),
                mean_log_probability=sum(piece_values) / len(piece_values),
                words=words_of(places, decoded, timing, to_text) if timing else (),
                biased=biased_words(places, decoded, to_text),
            )
        )
        values += piece_values
    if decoded.end_log_probability is not None:
        values.append(decoded.end_log_probability)
    whole = " ".join(segment.text for segment in segments)
    return Hypothesis(
        text=whole,
        segments=tuple(segments),
        mean_log_probability=sum(values) / len(values) if values else 0.0,
        no_speech_probability=decoded.no_speech_probability,
        other_language_probability=decoded.other_language_probability,
        compression_ratio=compression_ratio(whole),
        truncated=decoded.truncated,
    )


def _pieces(decoded: DecodedWindow, timestamp_begin: int, seconds: float) -> Iterator[tuple[float, float, list[int]]]:
    """Start, end and the places of the text tokens of what stands between timestamps; the last may end with the window."""
    start = 0.0
    text: list[int] = []
    for place, token in enumerate(decoded.tokens):
        if token < timestamp_begin:
            text.append(place)
            continue
        time = min((token - timestamp_begin) * TIMESTAMP_SECONDS, seconds)
        if text:
            yield start, time, text
        start, text = time, []
    if text:
        yield start, seconds, text
