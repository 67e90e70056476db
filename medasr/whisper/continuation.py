"""Goes on where a text ended although its window did not.

Whisper now and then ends a window's text after a sentence and drops what follows. Openai/whisper's long-form decoding moves on to the last
timestamp for that reason (Radford et al. 2022, section 4.5); windows that are decoded side by side have to be looked at again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from medasr.types import WINDOW_SECONDS
from medasr.whisper.decoding import TIMESTAMP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medasr.whisper.decoding import DecodedWindow, DecodingTokens

#: A window ends where speech ends: so much without text at its end, in seconds, is speech that was passed over.
UNHEARD_SECONDS = 2.5
#: What is written for it is taken only if the model is not in doubt whether anybody speaks, and not guessing (natural logarithm, mean).
_NO_SPEECH = 0.6
_LOG_PROBABILITY = -0.7


def unheard_from(decoded: DecodedWindow, tokens: DecodingTokens, seconds: float) -> float | None:
    """When the text of a window of that length ended too early; None when it did not, or when nothing was written at all."""
    if decoded.truncated or not decoded.tokens or decoded.tokens[-1] < tokens.timestamp_begin:
        return None
    if all(token >= tokens.timestamp_begin for token in decoded.tokens):
        return None
    ended = (decoded.tokens[-1] - tokens.timestamp_begin) * TIMESTAMP_SECONDS
    return ended if seconds - ended > UNHEARD_SECONDS else None


def is_sure(decoded: DecodedWindow, tokens: DecodingTokens) -> bool:
    """Whether there is text, and no doubt about it."""
    values = decoded.words(tokens)
    return (
        bool(values)
        and not decoded.truncated
        and decoded.no_speech_probability <= _NO_SPEECH
        and sum(values) / len(values) >= _LOG_PROBABILITY
    )


def continued(decoded: DecodedWindow, further: DecodedWindow, tokens: DecodingTokens, start: float) -> DecodedWindow:
    """One window's text with that of its rest, which begins at ``start`` seconds."""
    latest = tokens.timestamp_begin + round(WINDOW_SECONDS / TIMESTAMP_SECONDS)
    return replace(
        decoded,
        tokens=decoded.tokens + tuple(moved(further.tokens, tokens, start, latest)),
        log_probabilities=decoded.log_probabilities + further.log_probabilities,
        end_log_probability=further.end_log_probability,
        biased=decoded.biased | {len(decoded.tokens) + place for place in further.biased},
    )


def moved(written: Sequence[int], tokens: DecodingTokens, start: float, latest: int) -> list[int]:
    """Tokens of what begins at ``start`` seconds with times from the beginning of the window, none later than the time token ``latest``.

    A piece may end in the silence that fills it up: beyond 30 s there is no token.
    """
    offset = round(start / TIMESTAMP_SECONDS)
    return [min(token + offset, latest) if token >= tokens.timestamp_begin else token for token in written]
