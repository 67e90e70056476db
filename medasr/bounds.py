"""What no model may do, however well it scores: repeat itself, write far more or less than was said, pass over words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medasr.quality import QualityThresholds, is_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medasr.metrics.scores import ScoredUtterance

#: A text is looked through for loops in pieces of so many words, about half a minute of speech: zlib saves more on longer ones anyway.
_PIECE_WORDS = 60


def looping_share(scored: Sequence[ScoredUtterance]) -> float:
    """Given utterances, at least one, return the percentage of their pieces of text that repeat themselves."""
    thresholds = QualityThresholds()
    pieces = [piece for one in scored for piece in _pieces(one.hypothesis)]
    return 100 * sum(is_loop(piece, thresholds) for piece in pieces) / len(pieces)


def length_ratio(scored: Sequence[ScoredUtterance]) -> float:
    """Given utterances, at least one, return the words that were written for each word that was said, normalized."""
    written = sum(_said(one) - one.normalized_words.deletions + one.normalized_words.insertions for one in scored)
    return written / sum(map(_said, scored))


def deleted_share(scored: Sequence[ScoredUtterance]) -> float:
    """Given utterances, at least one, return how many of a hundred words were passed over, normalized."""
    return 100 * sum(one.normalized_words.deletions for one in scored) / sum(map(_said, scored))


def _said(one: ScoredUtterance) -> int:
    return one.normalized_words.reference_length


def _pieces(text: str) -> list[str]:
    """Pieces of an utterance's text; no text is one piece, too."""
    words = text.split()
    return [" ".join(words[start : start + _PIECE_WORDS]) for start in range(0, max(len(words), 1), _PIECE_WORDS)]
