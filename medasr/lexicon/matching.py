"""Medical terms in transcripts.

The lexicon that ships with medasr is ``medasr/data/lexicon.csv``; files of the user's own come on top of it. What counts as the same
term (plurals, hyphens, British and American spelling) is described in docs/lexicon.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from medasr.lexicon.file import Term, read_terms
from medasr.lexicon.index import TermIndex, build_index, find_words
from medasr.lexicon.words import split_runs
from medasr.types import Segment, TermHit, Word

SHIPPED = Path(__file__).parents[1] / "data" / "lexicon.csv"


@dataclass(frozen=True, kw_only=True)
class Lexicon:
    """The terms to look for, sorted by category and term, ready for matching."""

    terms: tuple[Term, ...] = field(repr=False)
    sha256: str  #: of the terms, categories and variants, whatever their order: equal lexicons find equal terms
    index: TermIndex = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A term found in a text: ``text[position : position + length] == surface``."""

    term: str  #: the lexicon's canonical form
    category: str
    surface: str  #: as it stands in the text
    position: int  #: offset of the first character
    length: int  #: characters


def load_lexicon(extra: Sequence[Path] = ()) -> Lexicon:
    """Load the shipped lexicon with the user's own files over it, later ones over earlier ones.

    Raises:
        ConfigurationError: a file cannot be read, or has an unknown category, an empty or doubled form, or wrong columns; the
            message lists every problem as ``FILE:LINE``.
    """
    return make_lexicon(read_terms([SHIPPED, *extra]))


def make_lexicon(terms: Sequence[Term]) -> Lexicon:
    """Make a lexicon of ``terms``, which share no form."""
    ordered = sorted(terms, key=lambda term: (term.category, term.term.casefold(), term.term))
    canonical = [[term.term, term.category, sorted(term.variants)] for term in ordered]
    digest = hashlib.sha256(json.dumps(canonical, ensure_ascii=False).encode()).hexdigest()
    return Lexicon(terms=tuple(ordered), sha256=digest, index=build_index(ordered))


def find(lexicon: Lexicon, text: str) -> list[Match]:
    """Find terms in ``text`` from left to right, at each place the longest; they do not overlap. Time is linear in the text."""
    matches = []
    for words in split_runs(text):
        for found in find_words(lexicon.index, words):
            start, end = words[found.first].start, words[found.last].end
            term = lexicon.terms[found.term]
            matches.append(
                Match(
                    term=term.term, category=term.category, surface=text[start:end], position=start, length=end - start
                )
            )
    return matches


def find_terms(lexicon: Lexicon, segments: Sequence[Segment], text: str) -> list[TermHit]:
    """Find terms in a transcript, also across the border of two segments.

    Args:
        lexicon: what to look for.
        segments: the transcript's segments, in order.
        text: the transcript's text: the segments' texts joined by single spaces.

    Returns:
        The hits in the order of the text. A hit belongs to the segment in which it begins. Its times, in seconds, and its confidence are
        those of its words; where a segment's words were not timed, the times are interpolated by characters within the segment, and the
        confidence is that of the segment in which it begins.

    Raises:
        ValueError: ``text`` is not the text of ``segments``.
    """
    if text != " ".join(segment.text for segment in segments):
        raise ValueError("the transcript's text must be the segments' texts joined by single spaces")
    offsets = text_offsets(segments)
    hits = []
    for match in find(lexicon, text):
        end = match.position + match.length
        first = bisect_right(offsets, match.position) - 1
        last = bisect_right(offsets, end - 1) - 1
        segment = segments[first]
        words = spoken_words(segments, offsets, match.position, end)
        hits.append(
            TermHit(
                term=match.term,
                category=match.category,
                surface=match.surface,
                segment=segment.index,
                position=match.position,
                length=match.length,
                start=words[0].start if words else _time_at(segment, match.position - offsets[first]),
                end=words[-1].end if words else _time_at(segments[last], end - offsets[last]),
                confidence=confidence_of(words) if words else math.exp(min(segment.mean_log_probability, 0.0)),
            )
        )
    return hits


def text_offsets(segments: Sequence[Segment]) -> list[int]:
    """Where each segment begins in the segments' texts joined by single spaces, and where another would."""
    return list(accumulate((len(segment.text) + 1 for segment in segments), initial=0))


def spoken_words(segments: Sequence[Segment], offsets: Sequence[int], first: int, end: int) -> list[Word]:
    """The words of a stretch of a transcript.

    Given its segments, their :func:`text_offsets`, and two places in their joined text, return what stands between them; nothing where a
    segment that is touched has other words than its text, or none.
    """
    begin = bisect_right(offsets, first) - 1
    return _words(segments[begin : bisect_right(offsets, end - 1)], first - offsets[begin], end - offsets[begin])


def confidence_of(words: Sequence[Word]) -> float:
    """The geometric mean of the words' confidences."""
    return min(1.0, math.prod(word.confidence for word in words) ** (1 / len(words)))


def _words(segments: Sequence[Segment], first: int, end: int) -> list[Word]:
    """The words between two places of neighbouring segments' joined text; none where a segment has other words, or none."""
    if not all(segment.words for segment in segments):
        return []
    text = " ".join(segment.text for segment in segments)
    found, place = [], 0
    for word in (word for segment in segments for word in segment.words):
        start = text.find(word.text, place)
        if start < 0:
            return []
        place = start + len(word.text)
        if start < end and first < place:
            found.append(word)
    return found


def _time_at(segment: Segment, offset: int) -> float:
    return segment.start + (segment.end - segment.start) * offset / len(segment.text)
