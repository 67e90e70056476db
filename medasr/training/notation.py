"""How what is said becomes the tokens that the model is to write, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medasr.types import WINDOW_SECONDS
from medasr.whisper.decoding import TIMESTAMP_SECONDS, DecodingTokens, decoding_tokens

if TYPE_CHECKING:
    from medasr.whisper.model import LoadedModel

#: A text → the stretches of it, as offsets (first, behind the last), that hold medical terms.
FindTerms = Callable[[str], Iterable[tuple[int, int]]]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a window with its text; times count from the window's start."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, kw_only=True)
class TokenSequence:
    """Tokens from the prefix to the end, and the weight of each in the loss."""

    tokens: list[int]
    weights: list[float]


@dataclass(frozen=True, kw_only=True)
class Notation:
    """How texts become tokens of one model."""

    tokenizer: Any  #: transformers.WhisperTokenizer
    tokens: DecodingTokens
    mel_bins: int
    limit: int  #: tokens at most
    find_terms: FindTerms = lambda _text: ()
    term_weight: float = 1.0

    @property
    def given(self) -> int:
        """How many tokens of a sequence are given and not to be written: all of the prefix."""
        return len(self.tokens.prefix)

    def sequence(self, segments: Sequence[Segment]) -> TokenSequence:
        """Prefix, each segment between its times, end; noise without a segment has a time and no text."""
        tokens = list(self.tokens.prefix)
        weights = [1.0] * len(tokens)
        for segment in segments:
            text, text_weights = self._text(segment.text)
            tokens += [self._time(segment.start), *text, self._time(segment.end)]
            weights += [1.0, *text_weights, 1.0]
        if not segments:
            tokens.append(self._time(0.0))
            weights.append(1.0)
        return TokenSequence(tokens=[*tokens, self.tokens.end][: self.limit], weights=[*weights, 1.0][: self.limit])

    def _text(self, text: str) -> tuple[list[int], list[float]]:
        written = " " + text.strip()
        encoded = self.tokenizer(written, add_special_tokens=False, return_offsets_mapping=True)
        found = self.find_terms(text.strip()) if self.term_weight != 1.0 else ()
        terms = [(first + 1, last + 1) for first, last in found]
        weights = [
            self.term_weight if any(first < end and start < last for first, last in terms) else 1.0
            for start, end in encoded["offset_mapping"]
        ]
        return list(encoded["input_ids"]), weights

    def _time(self, seconds: float) -> int:
        return self.tokens.timestamp_begin + round(min(seconds, WINDOW_SECONDS) / TIMESTAMP_SECONDS)


def notation_of(
    model: LoadedModel, language: str, find_terms: FindTerms = lambda _text: (), term_weight: float = 1.0
) -> Notation:
    """The notation of a loaded model; raise ModelError for a language it does not know."""
    config = model.network.config
    positions = int(config.max_target_positions)
    return Notation(
        tokenizer=model.tokenizer,
        tokens=decoding_tokens(model.network.generation_config, language, positions),
        mel_bins=int(config.num_mel_bins),
        limit=positions,
        find_terms=find_terms,
        term_weight=term_weight,
    )
