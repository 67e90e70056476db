"""Beam search: several texts of a window are followed side by side, from where the likeliest is in doubt.

Greedy decoding takes the likeliest token and cannot go back on it. As long as it is likelier than everything else together it is followed
alone; the windows of a batch have one text or several each. As in openai/whisper (``decoding.py``: BeamSearchDecoder,
MaximumLikelihoodRanker) the likeliest texts are followed until so many have ended, and of those the one that is likeliest per token wins.
Different from it, times take no part in the contest: a text goes on with its likeliest time only, which counts as all of them do
together, and the mean is over words and end.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from medasr.whisper.biasing import NO_BIAS, START, Spelled
from medasr.whisper.decoder import CachedDecoder
from medasr.whisper.decoding import DecodedWindow, first_impressions
from medasr.whisper.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medasr.whisper.biasing import TermBias
    from medasr.whisper.decoder import Sound
    from medasr.whisper.decoding import DecodingTokens

#: What may follow a row's text: token, natural log-probability, and what that counts.
_Choices = tuple[list[int], list[float], list[float]]


#: A text is in doubt when a word of it, or its end, is less likely than everything else together.
_DOUBTFUL = math.log(0.5)


@dataclass(frozen=True, kw_only=True)
class _Text:
    """One of the texts that are followed."""

    row: int = 0  #: of the decoder, that computed it
    tokens: tuple[int, ...] = ()
    values: tuple[float, ...] = ()  #: natural log-probability of each
    counted: float = 0.0  #: natural log-probability of all, a time counting as all times
    end: float | None = None  #: natural log-probability of the end token, when it has come
    spelled: Spelled = START  #: of a list's terms
    bonus: float = 0.0  #: that these have earned, natural logarithm

    def length(self, first_time: int) -> int:
        """How many words, and the end."""
        return sum(token < first_time for token in self.tokens) + 1


def search(
    network: Any,
    sound: Sound,
    tokens: DecodingTokens,
    beams: int,
    biases: Sequence[TermBias] = (),
    *,
    from_doubt: bool = False,
) -> list[DecodedWindow]:
    """The likeliest of several texts of every window, with times.

    Given a WhisperForConditionalGeneration in evaluation mode, what it heard, how many texts of each window are followed, and which terms
    are preferred in each, if any are, return one result per window, in order. ``from_doubt``: a window is followed in its likeliest text
    alone until a word or the end is doubtful, and from there on in several.
    """
    device, count = sound.device, len(sound)
    bonuses = _Bonuses(biases, tokens.end, device) if any(biases) else None
    biases = biases or [NO_BIAS] * count
    decoder = CachedDecoder(network, sound, len(tokens.prefix) + tokens.limit - 1, most_texts=beams)
    rules = Rules(tokens, count, network.config.vocab_size, device, timestamps=True)
    hidden = decoder.advance(torch.tensor([tokens.prefix] * count, device=device))
    first = first_impressions(decoder.scores(hidden[:, 0]), tokens).tolist()
    followed = [[_Text(row=window)] for window in range(count)]
    ended: list[list[_Text]] = [[] for _ in range(count)]
    windows = list(range(count))  # that are not done, in the order of the rows
    breadth = [1 if from_doubt else beams] * count
    for step in range(tokens.limit):
        bonus = bonuses.of([(window, text) for window in windows for text in followed[window]]) if bonuses else None
        found = rules.candidates(decoder.scores(hidden[:, -1]), beams + 1, first=step == 0, bonus=bonus)
        choices: list[_Choices] = list(zip(*(figures.tolist() for figures in found), strict=True))
        for window in windows:
            if breadth[window] < beams and _is_in_doubt(choices[followed[window][0].row], tokens):
                breadth[window] = beams
            going_on = followed[window]
            followed[window], over = _follow(going_on, choices, tokens.end, breadth[window], biases[window])
            ended[window] += over
            if not followed[window] and not ended[window]:  # nothing is likely, as where half precision overflowed
                ended[window] = going_on  # without an end
        staying = [
            place for place, window in enumerate(windows) if len(ended[window]) < breadth[window] and followed[window]
        ]
        if not staying or step + 1 == tokens.limit:
            break
        windows = [windows[place] for place in staying]
        origins = [[text.row for text in followed[window]] for window in windows]
        decoder.keep(staying, origins)
        rules.keep(torch.tensor(list(itertools.chain.from_iterable(origins)), device=device))
        token = torch.tensor([text.tokens[-1] for window in windows for text in followed[window]], device=device)
        rules.advance(token)
        rows = itertools.count()
        for window in windows:
            followed[window] = [replace(text, row=next(rows)) for text in followed[window]]
        hidden = decoder.advance(token.unsqueeze(1))
    return [
        _result(_best(done or going, tokens.timestamp_begin), *impressions)
        for done, going, impressions in zip(ended, followed, first, strict=True)
    ]


def _is_in_doubt(choices: _Choices, tokens: DecodingTokens) -> bool:
    """Whether the likeliest that may come next is a word or the end, and less likely than everything else together."""
    token, value, _ = max(zip(*choices, strict=True), key=lambda choice: choice[2])
    return token < tokens.timestamp_begin and value < _DOUBTFUL


def _follow(
    texts: list[_Text], choices: list[_Choices], end: int, breadth: int, bias: TermBias
) -> tuple[list[_Text], list[_Text]]:
    """The likeliest texts a token further, which keep the row that they go on from, and those that end on the way there."""
    further = []
    for text in texts:
        for token, value, counted in zip(*choices[text.row], strict=True):
            if counted > -math.inf:
                spelled = bias.advance(text.spelled, token)
                further.append((text.counted + counted, bias.earned(spelled), spelled, token, value, text))
    following: list[_Text] = []
    ended: list[_Text] = []
    for counted, bonus, spelled, token, value, text in sorted(further, key=lambda one: one[0] + one[1], reverse=True):
        longer = replace(text, counted=counted, bonus=bonus, spelled=spelled)
        if token == end:
            ended.append(replace(longer, end=value))
        else:
            following.append(replace(longer, tokens=(*text.tokens, token), values=(*text.values, value)))
        if len(following) == breadth:
            break
    return following, ended


class _Bonuses:
    """What texts gain by every word that may come next, for windows with lists of terms."""

    def __init__(self, biases: Sequence[TermBias], words: int, device: torch.device) -> None:
        self._biases = biases
        self._starting = torch.zeros((len(biases), words), device=device)
        for window, bias in enumerate(biases):
            self._set(self._starting[window], bias.starting)

    def of(self, rows: Sequence[tuple[int, _Text]]) -> torch.Tensor:
        """Given every row's window and text, return the gains ``[rows, words]``, natural logarithm."""
        gained = self._starting[[window for window, _ in rows]]
        for row, (window, text) in enumerate(rows):
            self._set(gained[row], self._biases[window].going_on(text.spelled.node))
        return gained

    def _set(self, row: torch.Tensor, gains: Mapping[int, float]) -> None:
        if gains:
            row[list(gains)] = torch.tensor(list(gains.values()), device=row.device)


def _best(texts: list[_Text], first_time: int) -> _Text:
    """The text that is likeliest per word and end. What terms have earned counts for texts of all lengths alike: a short one gains nothing."""
    longest = max(text.length(first_time) for text in texts)
    return max(texts, key=lambda text: text.counted / text.length(first_time) + text.bonus / longest)


def _result(text: _Text, no_speech: float, other_language: float) -> DecodedWindow:
    return DecodedWindow(
        tokens=text.tokens,
        log_probabilities=text.values,
        end_log_probability=text.end,
        no_speech_probability=no_speech,
        other_language_probability=other_language,
    )
