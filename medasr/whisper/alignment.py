"""When each word was said, and how sure the model is of it.

Some heads of Whisper's decoder look at the sound of the token they write. As in openai/whisper (``timing.py``, after Louradour's
whisper-timestamped, https://github.com/linto-ai/whisper-timestamped) the text that was decoded is given to the decoder once more, whole,
and the path through these heads' attention along which tokens and time both only advance gives each token its stretch of sound
(dynamic time warping, Sakoe and Chiba 1978). Times and end are tokens of the text here: they take the pauses, which would otherwise
fall to the words beside them. What is quiet at either end of a word is not the word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medasr.types import SAMPLE_RATE, Word
from medasr.whisper.decoder import CachedDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from medasr.types import Waveform
    from medasr.whisper.decoder import Sound
    from medasr.whisper.decoding import DecodedWindow, DecodingTokens

#: Samples that one of the encoder's states stands for.
_FRAME_SAMPLES = 320
_FRAMES_PER_SECOND = SAMPLE_RATE / _FRAME_SAMPLES
#: Attention is smoothed over so many frames, as in openai/whisper.
_MEDIAN_FRAMES = 7
#: So far below the loud frames of its window a frame is quiet, dB: noise is louder, unless there is hardly any.
_QUIET_DB = 35.0
_LOUD_QUANTILE = 0.95
#: Texts are filled up to a multiple of so many tokens: oneDNN keeps a program of half a megabyte for every shape that it has met.
_STEP = 32


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When the tokens of a window were said, in frames of 20 ms."""

    seconds: float  #: the window's length
    firsts: tuple[int, ...]  #: of each token, and of the end token
    quiet: tuple[bool, ...]  #: for every frame of the window whether nobody speaks in it

    def span(self, first: int, last: int) -> tuple[float, float]:
        """From when to when, in seconds, the tokens from ``first`` to ``last`` were said, without the quiet before and after."""
        start, end = self.firsts[first], self.firsts[last + 1]
        sounding = [frame for frame in range(start, end) if not self.quiet[frame]]
        if sounding:
            start, end = sounding[0], sounding[-1] + 1
        return start / _FRAMES_PER_SECOND, min(end / _FRAMES_PER_SECOND, self.seconds)


def align(
    network: Any,
    sound: Sound,
    windows: Sequence[Waveform],
    decoded: Sequence[DecodedWindow],
    tokens: DecodingTokens,
) -> list[Timing | None]:
    """When the tokens of each window were said; None where the text is longer than the decoder or the sound.

    Given a WhisperForConditionalGeneration in evaluation mode, what it heard, the windows' waveforms and what was decoded. Only as much of
    the encoded time counts as the window has sound.
    """
    timings: list[Timing | None] = [None] * len(windows)
    frames = [min(math.ceil(len(window) / _FRAME_SAMPLES), sound.time) for window in windows]
    places = [
        place
        for place, window in enumerate(decoded)
        if len(tokens.prefix) + len(window.tokens) <= network.config.max_target_positions
        and len(window.tokens) < frames[place]
    ]
    if not places:
        return timings
    together = 1 if sound.device.type == "cpu" else len(places)
    for first in range(0, len(places), together):
        some = places[first : first + together]
        texts = [[*tokens.prefix, *decoded[place].tokens] for place in some]
        attention = _Attention(network, sound.only(some), texts, tokens.end)
        for row, place in enumerate(some):
            # What is looked at while a token is chosen is its own sound: that is one position before it is read.
            fit = attention.fit(row, len(tokens.prefix) - 1, len(texts[row]), frames[place])
            quiet = quiet_frames(windows[place], frames[place])
            seconds = len(windows[place]) / SAMPLE_RATE
            timings[place] = Timing(seconds=seconds, firsts=tuple(warp(fit)), quiet=tuple(quiet.tolist()))
    return timings


def words_of(
    places: Sequence[int], decoded: DecodedWindow, timing: Timing, to_text: Callable[[list[int]], str]
) -> tuple[Word, ...]:
    """The words of a stretch of a window's text, with times from the window's start.

    Given the places in ``decoded.tokens`` of neighbouring tokens of text, and the tokenizer's way back to text, which keeps a leading space: a
    space begins a word, and punctuation belongs to the word before. Joined by spaces they are the stretch's text. Times and confidence, the
    geometric mean of the probabilities, are those of the tokens that are not punctuation.
    """
    words = []
    for group in _groups(places, decoded.tokens, to_text):
        text = to_text([decoded.tokens[place] for place in group]).strip()
        said = [place for place in group if _is_said(to_text([decoded.tokens[place]]))] or group
        start, end = timing.span(said[0], said[-1])
        mean = sum(decoded.log_probabilities[place] for place in said) / len(said)
        words.append(Word(start=start, end=end, text=text, confidence=math.exp(min(mean, 0.0))))
    return tuple(word for word in words if word.text)


def biased_words(places: Sequence[int], decoded: DecodedWindow, to_text: Callable[[list[int]], str]) -> tuple[int, ...]:
    """Which words of a stretch of a window's text, counted from 0, stand there because of a list of terms.

    Given as for :func:`words_of`. Words are what spaces part: punctuation that stands by itself is one, too.
    """
    if not decoded.biased.intersection(places):
        return ()
    parts = _parts(places, decoded.tokens, to_text)
    words = [part for part in parts if to_text([decoded.tokens[place] for place in part]).strip()]
    return tuple(number for number, group in enumerate(words) if decoded.biased.intersection(group))


def alignment_heads(network: Any) -> Mapping[int, Sequence[int]]:
    """By layer of the decoder the heads that look at the sound of what they write.

    Those that the model names. A model that names none, or such as it does not have, since its configuration is that of a larger one,
    gets all heads of the upper half of its layers.
    """
    layers, heads = int(network.config.decoder_layers), int(network.config.decoder_attention_heads)
    named = [
        (int(layer), int(head)) for layer, head in getattr(network.generation_config, "alignment_heads", None) or ()
    ]
    if not named or any(layer >= layers or head >= heads for layer, head in named):
        named = [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
    return {layer: [head for one, head in named if one == layer] for layer in sorted({layer for layer, _ in named})}


def warp(fit: NDArray[np.float64]) -> list[int]:
    """Where each row begins on the best path.

    Given how well each row fits each column ``[rows, columns]``, no more rows than columns. The path goes from the first row and column to the
    last, a column at each step, and to the next row or not; the best has the largest sum.
    """
    rows, columns = fit.shape
    if rows > columns:
        raise ValueError(f"{rows} rows do not find place in {columns} columns")
    sums = np.cumsum(fit, axis=1)
    best = sums[0]
    entries = [np.zeros(columns, dtype=np.intp)]
    for row in range(1, rows):
        # A row that is entered in column k and still there in column j adds sums[j] - sums[k - 1].
        entering = np.full(columns, -np.inf)
        entering[1:] = best[:-1] - sums[row, :-1]
        highest = np.maximum.accumulate(entering)
        is_highest = np.concatenate([[True], entering[1:] > highest[:-1]])
        entries.append(np.maximum.accumulate(np.where(is_highest, np.arange(columns), 0)))
        best = highest + sums[row]
    firsts: list[int] = []
    column = columns - 1
    for entry in reversed(entries):
        firsts.append(int(entry[column]))
        column = firsts[-1] - 1
    return firsts[::-1]


def quiet_frames(window: Waveform, frames: int) -> NDArray[np.bool_]:
    """Which of a window's frames of 20 ms are far below the loud ones; none where all are alike."""
    samples = np.zeros(frames * _FRAME_SAMPLES, dtype=np.float64)
    heard = window[: len(samples)]
    samples[: len(heard)] = heard
    power = (samples.reshape(frames, _FRAME_SAMPLES) ** 2).mean(axis=1)
    quiet: NDArray[np.bool_] = power < np.quantile(power, _LOUD_QUANTILE) * 10 ** (-_QUIET_DB / 10)
    return quiet


class _Attention:
    """What the alignment heads look at while given texts are written, computed in one pass of the decoder."""

    def __init__(self, network: Any, sound: Sound, texts: Sequence[Sequence[int]], filling: int) -> None:
        self._heads = alignment_heads(network)
        longest = math.ceil(max(map(len, texts)) / _STEP) * _STEP
        longest = min(longest, int(network.config.max_target_positions))
        rows = [[*text, *[filling] * (longest - len(text))] for text in texts]  # nothing looks ahead at the filling
        self._sound = sound
        self._decoder = CachedDecoder(network, sound, longest)
        self._decoder.advance(torch.tensor(rows, device=sound.device))

    def fit(self, row: int, first: int, last: int, frames: int) -> NDArray[np.float64]:
        """How well the positions of a text from ``first`` to before ``last`` fit each of so many frames."""
        attended = torch.cat([self._attended(layer, row, first, last, frames) for layer in self._heads])
        spread, mean = torch.std_mean(attended, dim=1, keepdim=True, correction=0)
        smooth = ((attended - mean) / spread.clamp(min=1e-9)).mean(dim=0)
        side = _MEDIAN_FRAMES // 2
        padded = torch.nn.functional.pad(smooth.unsqueeze(0), (side, side), mode="replicate")[0]
        median = padded.unfold(1, _MEDIAN_FRAMES, 1).median(dim=2).values
        return median.double().cpu().numpy()

    def _attended(self, layer: int, row: int, first: int, last: int, frames: int) -> torch.Tensor:
        """The attention of a layer's alignment heads ``[heads, positions, frames]``."""
        keys = self._sound.keys[layer][self._sound.windows[row]]
        heads = self._heads[layer]
        asking, asked = self._decoder.asked(layer)[row, heads, first:last].float(), keys[heads, :frames].float()
        return (asking @ asked.transpose(1, 2)).softmax(dim=2)


def _parts(places: Sequence[int], tokens: Sequence[int], to_text: Callable[[list[int]], str]) -> list[list[int]]:
    """The places of the tokens of what spaces part. A character's bytes may be spread over tokens, but none of them looks like a space."""
    parts: list[list[int]] = []
    for place in places:
        if not parts or to_text([tokens[place]])[:1].isspace():
            parts.append([])
        parts[-1].append(place)
    return parts


def _groups(places: Sequence[int], tokens: Sequence[int], to_text: Callable[[list[int]], str]) -> list[list[int]]:
    """The places of each word's tokens, with those of the punctuation behind it."""
    groups: list[list[int]] = []
    for part in _parts(places, tokens, to_text):
        if groups and not any(_is_said(to_text([tokens[place]])) for place in part):
            groups[-1] += part
        else:
            groups.append(part)
    return groups


def _is_said(text: str) -> bool:
    """Whether a token's text is more than punctuation; part of a character's bytes may be."""
    return any(one.isalnum() or one == "\N{REPLACEMENT CHARACTER}" for one in text)
