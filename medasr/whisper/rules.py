"""Which token may come next, and which comes.

The rules are those of openai/whisper (``decoding.py``: SuppressBlank, SuppressTokens, ApplyTimestampRules), applied to all rows of a
batch at once. The logits are read as three parts: words, special tokens (the end among them) and times. What holds for one part only
is decided between the parts' maxima and sums, so that the long part is read only once for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from medasr.whisper.decoding import DecodingTokens

_MINUS_INFINITY = float("-inf")


class Rules:
    """The rules of one batch, and what they remember of every row's text; columns are ``[rows, 1]``."""

    def __init__(
        self, tokens: DecodingTokens, rows: int, vocabulary: int, device: torch.device, *, timestamps: bool
    ) -> None:
        self._tokens = tokens
        self._timestamps = timestamps
        self._never = torch.zeros(vocabulary, device=device)
        self._never[list(tokens.suppressed)] = _MINUS_INFINITY
        self._not_first = torch.zeros(vocabulary, device=device)
        self._not_first[list(tokens.suppressed_first)] = _MINUS_INFINITY
        if timestamps:
            begin = tokens.timestamp_begin
            self._never[tokens.no_timestamps] = _MINUS_INFINITY
            self._not_first[:begin] = _MINUS_INFINITY
            self._not_first[begin + tokens.max_initial_timestamp + 1 :] = _MINUS_INFINITY
        self._terms = torch.empty(rows, vocabulary, device=device)  # of the sums of a step
        self._times = torch.arange(tokens.timestamp_begin, vocabulary, device=device)
        # The first timestamp opens a segment: as if one had just closed.
        self._last_is_time = torch.ones(rows, 1, dtype=torch.bool, device=device)
        self._second_last_is_time = self._last_is_time
        self._latest = torch.full((rows, 1), tokens.timestamp_begin - 1, device=device)

    def choose(self, scores: torch.Tensor, *, first: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Choose the likeliest token that may come next in every row.

        Given the logits ``[rows, vocabulary]`` in fp32, which are changed in place, return the tokens and their natural log-probabilities
        among all that may come, each of shape ``[rows]``.
        """
        token, best, total = self._read(scores, first=first)
        best, part = best.max(dim=1, keepdim=True)
        return token.gather(1, part).squeeze(1), best.squeeze(1) - total.logsumexp(dim=1)

    def candidates(
        self, scores: torch.Tensor, count: int, *, first: bool, bonus: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The likeliest tokens that may come next in every row: so many words, and one each of what ends the text and of the times.

        Given the logits ``[rows, vocabulary]`` in fp32, which are changed in place, return the tokens, their natural log-probabilities and
        what they count, each of shape ``[rows, count + 2]``. A time counts as all times together: texts that differ in nothing but
        times would otherwise compete with each other. What may not come has a probability of zero. A bonus ``[rows, words]`` decides
        besides which words are looked at, and counts nowhere else.
        """
        token, best, total = self._read(scores, first=first)
        allowed = total.logsumexp(dim=1, keepdim=True)
        plain = scores[:, : self._tokens.end]
        words = (plain if bonus is None else plain + bonus).topk(count, dim=1).indices
        likeliest = plain.gather(1, words)
        likeliest = likeliest.masked_fill(best[:, :1] == _MINUS_INFINITY, _MINUS_INFINITY)
        values = torch.cat([likeliest, best[:, 1:]], dim=1) - allowed
        counted = torch.cat([values[:, :-1], total[:, 2:] - allowed], dim=1)
        return torch.cat([words, token[:, 1:]], dim=1), values, counted

    def _read(self, scores: torch.Tensor, *, first: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of words, special tokens and times the likeliest, its logit, and the logarithm of the sum of all; each ``[rows, 3]``."""
        end, begin = self._tokens.end, self._tokens.timestamp_begin
        scores += self._never
        if first:
            scores += self._not_first
        words, special, times = scores[:, :end], scores[:, end:begin], scores[:, begin:]
        timed = self._timestamps and not first
        closed = self._last_is_time & ~self._second_last_is_time
        if timed:
            # Times never go back; only the start of a segment may repeat a time, the end of the one before.
            earliest = torch.where(closed, self._latest, self._latest + 1)
            opened = self._last_is_time & self._second_last_is_time
            times.masked_fill_(opened | (self._times < earliest), _MINUS_INFINITY)
        if len(scores) > len(self._terms):
            self._terms = torch.empty_like(scores)
        terms = self._terms[: len(scores)]
        parts = ((words, terms[:, :end]), (special, terms[:, end:begin]), (times, terms[:, begin:]))
        best, token, total = (
            torch.stack(figures, dim=1) for figures in zip(*(_read(*part) for part in parts), strict=True)
        )
        token += torch.tensor((0, end, begin), device=scores.device)
        if timed:
            best[:, :1].masked_fill_(closed, _MINUS_INFINITY)
            total[:, :1].masked_fill_(closed, _MINUS_INFINITY)
            # All times together against the best single other token: a time is never outvoted by its own neighbours.
            time_is_due = (total[:, 2] > best[:, :2].amax(dim=1)).unsqueeze(1)
            best[:, :2].masked_fill_(time_is_due, _MINUS_INFINITY)
            total[:, :2].masked_fill_(time_is_due, _MINUS_INFINITY)
        return token, best, total

    def advance(self, token: torch.Tensor) -> None:
        """Take note of the token chosen for every row, shape ``[rows]``."""
        column = token.unsqueeze(1)
        is_time = column >= self._tokens.timestamp_begin
        self._latest = torch.where(is_time, column, self._latest)
        self._second_last_is_time, self._last_is_time = self._last_is_time, is_time

    def keep(self, rows: torch.Tensor) -> None:
        """Given which row stands at each place from now on: forget the others."""
        self._last_is_time, self._second_last_is_time = self._last_is_time[rows], self._second_last_is_time[rows]
        self._latest = self._latest[rows]


def _read(part: torch.Tensor, terms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of logits ``[rows, n]`` the largest, its place and the logarithm of the sum of all, each ``[rows]``.

    Given besides where the sum's terms find room: as much memory anew in every step costs more than the sum.
    """
    best, place = part.max(dim=1)
    highest = best.masked_fill(best == _MINUS_INFINITY, 0.0).unsqueeze(1)
    total = torch.sub(part, highest, out=terms).exp_().sum(dim=1).log() + highest.squeeze(1)
    return best, place, total
