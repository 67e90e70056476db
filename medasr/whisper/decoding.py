"""Batched greedy decoding with Whisper's timestamp rules.

Greedy and without sampling. The rules stand in ``rules.py``, the network in ``decoder.py``; here windows leave the batch as their texts
end. The text is that of transformers' greedy ``generate`` under the same rules.

Whether a window gives the same text alone and in any batch: docs/decoding.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from medasr.errors import ModelError
from medasr.whisper.decoder import CachedDecoder, Sound
from medasr.whisper.rules import Rules

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds a timestamp token counts.
TIMESTAMP_SECONDS = 0.02


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
    languages: tuple[int, ...] = ()  #: that it can tell, the one in the prefix first; none if it knows English only

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
    other_language_probability: float = 0.0  #: that of all languages but the one it was told
    biased: frozenset[int] = frozenset()  #: places of the tokens of words that stand there because of a list of terms

    @property
    def truncated(self) -> bool:
        """Whether the token limit came before the end of the text."""
        return self.end_log_probability is None

    def words(self, tokens: DecodingTokens) -> list[float]:
        """The natural log-probabilities of what is no time: how sure the model is of a time says nothing about the words."""
        pairs = zip(self.tokens, self.log_probabilities, strict=True)
        return [value for token, value in pairs if token < tokens.timestamp_begin]


def decoding_tokens(generation: Any, language: str, max_positions: int) -> DecodingTokens:
    """Read the special tokens from a model's generation config.

    Given the language's ISO 639-1 code and the decoder's positions; raise ModelError for a language the model does not know or a
    folder whose generation config is not Whisper's.
    """
    try:
        start, no_timestamps = int(generation.decoder_start_token_id), int(generation.no_timestamps_token_id)
        prefix: tuple[int, ...] = (start,)
        languages: tuple[int, ...] = ()
        if generation.is_multilingual:
            own = int(generation.lang_to_id[f"<|{language}|>"])
            prefix += (own, int(generation.task_to_id["transcribe"]))
            languages = (own, *(int(token) for token in generation.lang_to_id.values() if int(token) != own))
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
            languages=languages,
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


def decode(network: Any, sound: Sound, tokens: DecodingTokens, *, timestamps: bool = True) -> list[DecodedWindow]:
    """Transcribe a batch of windows.

    Given a WhisperForConditionalGeneration in evaluation mode and what it heard, return one result per window, in order. Without
    ``timestamps`` the text comes in one piece.
    """
    device, batch = sound.device, len(sound)
    prefix = tokens.prefix if timestamps else (*tokens.prefix, tokens.no_timestamps)
    decoder = CachedDecoder(network, sound, len(prefix) + tokens.limit - 1)
    rules = Rules(tokens, batch, network.config.vocab_size, device, timestamps=timestamps)
    hidden = decoder.advance(torch.tensor([prefix] * batch, device=device))
    first = first_impressions(decoder.scores(hidden[:, 0]), tokens)
    chosen = torch.full((batch, tokens.limit), tokens.end, device=device)
    log_probabilities = torch.zeros((batch, tokens.limit), device=device)
    windows = torch.arange(batch, device=device)  # whose text stands in each row
    for step in range(tokens.limit):
        token, value = rules.choose(decoder.scores(hidden[:, -1]), first=step == 0)
        chosen[windows, step], log_probabilities[windows, step] = token, value
        ended = (token == tokens.end).tolist()  # the only wait for the device in a step
        if all(ended) or step + 1 == tokens.limit:
            break
        rules.advance(token)
        if any(ended):
            staying = _without(ended)
            decoder.keep(staying)
            rows = torch.tensor(staying, device=device)
            rules.keep(rows)
            windows, token = windows[rows], token[rows]
        hidden = decoder.advance(token.unsqueeze(1))
    return _collect(chosen, log_probabilities, first, tokens.end)


def first_impressions(scores: torch.Tensor, tokens: DecodingTokens) -> torch.Tensor:
    """What the model holds a window for before it writes.

    Given the logits behind the start of the transcript ``[rows, vocabulary]``, where the language would come next, return ``[rows, 2]``:
    the probability that nobody speaks, and among the languages that of all but the one in the prefix, as openai/whisper counts it
    (``decoding.py``: detect_language); 0 where only one is known.
    """
    no_speech = scores.softmax(dim=-1)[:, tokens.no_speech]
    if not tokens.languages:
        return torch.stack([no_speech, torch.zeros_like(no_speech)], dim=1)
    languages = scores[:, list(tokens.languages)].softmax(dim=-1)
    return torch.stack([no_speech, languages[:, 1:].sum(dim=1)], dim=1)


def _without(ended: list[bool]) -> list[int]:
    """The rows that have not ended, in an order in which as few as possible change their place."""
    staying = [row for row, over in enumerate(ended) if not over]
    moving = [row for row in staying if row >= len(staying)]
    return [moving.pop() if over else row for row, over in enumerate(ended[: len(staying)])]


def _collect(
    chosen: torch.Tensor, log_probabilities: torch.Tensor, first: torch.Tensor, end: int
) -> list[DecodedWindow]:
    """Cut each row at its end token."""
    decoded = []
    rows = zip(chosen.tolist(), log_probabilities.tolist(), first.tolist(), strict=True)
    for row, values, (no_speech, other_language) in rows:
        length = row.index(end) if end in row else len(row)
        decoded.append(
            DecodedWindow(
                tokens=tuple(row[:length]),
                log_probabilities=tuple(values[:length]),
                end_log_probability=values[length] if length < len(row) else None,
                no_speech_probability=no_speech,
                other_language_probability=other_language,
            )
        )
    return decoded
