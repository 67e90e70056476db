"""Batched greedy decoding with Whisper's timestamp rules.

The rules are those of openai/whisper (``decoding.py``: SuppressBlank, SuppressTokens, ApplyTimestampRules), applied to the whole
batch at once. Greedy and without sampling: the same window gives the same tokens, alone or in a batch, as long as two candidates
do not lie closer together than the rounding of a matrix product (which may depend on the batch's shape).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from medasr.errors import ModelError
from medasr.whisper.context import encode

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds a timestamp token counts.
TIMESTAMP_SECONDS = 0.02

_MINUS_INFINITY = float("-inf")


@dataclass(frozen=True, kw_only=True)
class DecodingTokens:
    """The special tokens of one Whisper model, and what a decoded text must look like."""

    prefix: tuple[int, ...]  #: what every text begins with: start of transcript, language, task
    end: int
    no_speech: int
    no_timestamps: int
    suppressed: tuple[int, ...]  #: never chosen
    suppressed_first: tuple[int, ...]  #: never chosen as the first token
    max_initial_timestamp: int  #: the first timestamp is at most this many steps into the window
    limit: int  #: tokens decoded at most

    @property
    def timestamp_begin(self) -> int:
        """The token of 0.00 s; every token from here on is a timestamp."""
        return self.no_timestamps + 1


@dataclass(frozen=True, kw_only=True)
class DecodedWindow:
    """The tokens of one window, without prefix and end, each with its natural log-probability."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    end_log_probability: float | None  #: of the end token; None when the limit came first
    no_speech_probability: float

    @property
    def truncated(self) -> bool:
        """Whether the token limit came before the end of the text."""
        return self.end_log_probability is None


def decoding_tokens(generation: Any, language: str, max_positions: int) -> DecodingTokens:
    """Read the special tokens from a model's generation config.

    Given the language's ISO 639-1 code and the decoder's positions; raise ModelError for a language the model does not know or a
    folder whose generation config is not Whisper's.
    """
    try:
        start, no_timestamps = int(generation.decoder_start_token_id), int(generation.no_timestamps_token_id)
        prefix: tuple[int, ...] = (start,)
        if generation.is_multilingual:
            prefix += (int(generation.lang_to_id[f"<|{language}|>"]), int(generation.task_to_id["transcribe"]))
        elif language != "en":
            raise ModelError(
                f"this model knows English only; set model.language to en, not {language}, or take a multilingual model"
            )
        return DecodingTokens(
            prefix=prefix,
            end=int(generation.eos_token_id),
            no_speech=no_timestamps - 1,
            no_timestamps=no_timestamps,
            suppressed=tuple(generation.suppress_tokens or ()),
            suppressed_first=tuple(generation.begin_suppress_tokens or ()),
            max_initial_timestamp=int(getattr(generation, "max_initial_timestamp_index", None) or 50),
            limit=max_positions // 2,
        )
    except KeyError:
        raise ModelError(f"this model does not know the language {language}; correct model.language") from None
    except (AttributeError, TypeError) as error:
        raise ModelError(f"generation_config.json is not Whisper's ({error}); fetch the model again") from error


def require_language(folder: Path, language: str) -> None:
    """Raise ModelError when the model in ``folder`` does not know the language, without loading its weights."""
    from transformers import GenerationConfig

    try:
        generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except OSError as error:
        raise ModelError(f"{folder} holds no readable generation_config.json; fetch the model again") from error
    decoding_tokens(generation, language, max_positions=0)


def decode(
    network: Any, features: torch.Tensor, tokens: DecodingTokens, *, timestamps: bool = True
) -> list[DecodedWindow]:
    """Transcribe a batch of windows.

    Given a WhisperForConditionalGeneration and log-mel features ``[batch, mel, frames]`` of the network's type and device, return one
    result per window, in order. Without ``timestamps`` the text comes in one piece.
    """
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache

    decoder, device = network.model.decoder, features.device
    batch = len(features)
    encoded = encode(network, features)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    prefix = tokens.prefix if timestamps else (*tokens.prefix, tokens.no_timestamps)
    inputs = torch.tensor([prefix] * batch, device=device)
    rules = _Rules(tokens, batch, device, timestamps=timestamps)
    finished = torch.zeros(batch, dtype=torch.bool, device=device)
    no_speech = torch.zeros(batch, device=device)
    chosen: list[torch.Tensor] = []
    log_probabilities: list[torch.Tensor] = []
    for step in range(tokens.limit):
        hidden = decoder(
            input_ids=inputs, encoder_hidden_states=encoded, past_key_values=cache, use_cache=True
        ).last_hidden_state
        if step == 0:
            no_speech = network.proj_out(hidden[:, 0]).float().softmax(dim=-1)[:, tokens.no_speech]
        scores = rules.apply(network.proj_out(hidden[:, -1]).float(), first=step == 0)
        best, token = scores.log_softmax(dim=-1).max(dim=-1)
        token = torch.where(finished, tokens.end, token)
        chosen.append(token)
        log_probabilities.append(best)
        finished = finished | (token == tokens.end)
        if bool(finished.all()):
            break
        rules.advance(token)
        inputs = token.unsqueeze(1)
    return _collect(torch.stack(chosen, 1), torch.stack(log_probabilities, 1), no_speech, tokens.end)


def _collect(
    chosen: torch.Tensor, log_probabilities: torch.Tensor, no_speech: torch.Tensor, end: int
) -> list[DecodedWindow]:
    """Cut each row at its end token."""
    decoded = []
    for row, values, silence in zip(chosen.tolist(), log_probabilities.tolist(), no_speech.tolist(), strict=True):
        length = row.index(end) if end in row else len(row)
        decoded.append(
            DecodedWindow(
                tokens=tuple(row[:length]),
                log_probabilities=tuple(values[:length]),
                end_log_probability=values[length] if length < len(row) else None,
                no_speech_probability=silence,
            )
        )
    return decoded


class _Rules:
    """Which tokens may come next, for every window of a batch; masks are columns ``[batch, 1]``."""

    def __init__(self, tokens: DecodingTokens, batch: int, device: torch.device, *, timestamps: bool) -> None:
        self._tokens = tokens
        self._timestamps = timestamps
        self._suppressed = torch.tensor(tokens.suppressed, dtype=torch.long, device=device)
        self._suppressed_first = torch.tensor(tokens.suppressed_first, dtype=torch.long, device=device)
        # The first timestamp opens a segment: as if one had just closed.
        self._last_is_time = torch.ones(batch, 1, dtype=torch.bool, device=device)
        self._second_last_is_time = self._last_is_time
        self._latest = torch.full((batch, 1), tokens.timestamp_begin - 1, device=device)

    def apply(self, scores: torch.Tensor, *, first: bool) -> torch.Tensor:
        """Set the logits ``[batch, vocabulary]`` of every token that may not come next to minus infinity, in place."""
        scores[:, self._suppressed] = _MINUS_INFINITY
        if first:
            scores[:, self._suppressed_first] = _MINUS_INFINITY
        if self._timestamps:
            self._apply_timestamp_rules(scores, first=first)
        return scores

    def advance(self, token: torch.Tensor) -> None:
        """Take note of the token chosen for every window, shape ``[batch]``."""
        column = token.unsqueeze(1)
        is_time = column >= self._tokens.timestamp_begin
        self._latest = torch.where(is_time, column, self._latest)
        self._second_last_is_time, self._last_is_time = self._last_is_time, is_time

    def _apply_timestamp_rules(self, scores: torch.Tensor, *, first: bool) -> None:
        tokens, begin = self._tokens, self._tokens.timestamp_begin
        scores[:, tokens.no_timestamps] = _MINUS_INFINITY
        times = scores[:, begin:]
        if first:
            scores[:, :begin] = _MINUS_INFINITY
            times[:, tokens.max_initial_timestamp + 1 :] = _MINUS_INFINITY
            return
        opened = self._last_is_time & self._second_last_is_time
        closed = self._last_is_time & ~self._second_last_is_time
        times.masked_fill_(opened, _MINUS_INFINITY)
        scores[:, : tokens.end].masked_fill_(closed, _MINUS_INFINITY)
        # Times never go back; only the start of a segment may repeat a time, the end of the one before.
        earliest = torch.where(closed, self._latest, self._latest + 1)
        times.masked_fill_(torch.arange(begin, scores.shape[1], device=scores.device) < earliest, _MINUS_INFINITY)
        # All times together against the best single other token: a time is never outvoted by its own neighbours.
        time_is_due = times.logsumexp(dim=-1) > scores[:, :begin].amax(dim=-1)
        scores[:, :begin].masked_fill_(time_is_due.unsqueeze(1), _MINUS_INFINITY)
