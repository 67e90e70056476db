"""What became of each medical term of a reference, and which terms of a hypothesis nobody said. The rules: docs/metrics.md."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from medasr.lexicon import Lexicon, find
from medasr.metrics.alignment import Stretch, words_in
from medasr.metrics.scores import Edit, TermOutcome, TermOutcomeKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Occurrence:
    """A term in a text, and the words, as a word error rate counts them, that it touches."""

    term: str
    category: str
    words: range


def find_occurrences(lexicon: Lexicon, words: Sequence[str]) -> list[Occurrence]:
    """Find terms in a text given as its words, from left to right."""
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))
    occurrences = []
    for match in find(lexicon, " ".join(words)):
        first = bisect_right(starts, match.position) - 1
        last = bisect_right(starts, match.position + match.length - 1) - 1
        occurrences.append(Occurrence(term=match.term, category=match.category, words=range(first, last + 1)))
    return occurrences


def judge_terms(
    lexicon: Lexicon, reference: Sequence[str], hypothesis: Sequence[str], alignment: Sequence[Stretch]
) -> tuple[TermOutcome, ...]:
    """Judge every term of an utterance.

    Args:
        lexicon: what to look for.
        reference: words of the normalized reference.
        hypothesis: words of the normalized hypothesis.
        alignment: of these words.

    Returns:
        What became of the reference's terms, in their order, then the invented ones in the hypothesis's order.
    """
    said, written = find_occurrences(lexicon, reference), find_occurrences(lexicon, hypothesis)
    counterparts = _pair(said, written, alignment)
    outcomes = [
        _outcome_of_said(one, counterpart, alignment, reference, hypothesis)
        for one, counterpart in zip(said, counterparts, strict=True)
    ]
    paired = {id(counterpart) for counterpart in counterparts}
    for one in written:
        if id(one) not in paired and not _stands_in_reference(one, alignment):
            outcomes.append(_invention(one, alignment, reference, hypothesis))
    return tuple(outcomes)


def _pair(
    said: Iterable[Occurrence], written: Sequence[Occurrence], alignment: Sequence[Stretch]
) -> list[Occurrence | None]:
    """Find for each term that was said the same term written in its place; a written one counts once.

    Terms that were recognized word by word choose first: their counterpart is certain. The others take the leftmost that is free,
    which leaves as many as possible for those behind them, because places follow each other as the terms do.
    """
    said = list(said)
    free = list(written)
    pairs: dict[int, Occurrence] = {}
    certain_first = sorted(range(len(said)), key=lambda number: not _all_equal(said[number].words, alignment))
    for number in certain_first:
        place = _counterpart_words(said[number].words, alignment)
        for one in free:
            if one.term == said[number].term and _overlap(one.words, place):
                pairs[number] = one
                free = [other for other in free if other is not one]
                break
    return [pairs.get(number) for number in range(len(said))]


def _all_equal(places: range, alignment: Sequence[Stretch]) -> bool:
    """Whether each of the reference's words at ``places`` was recognized."""
    matched = sum(len(_common(places, stretch.reference)) for stretch in alignment if stretch.edit is Edit.EQUAL)
    return matched == len(places)


def _counterpart_words(places: range, alignment: Sequence[Stretch]) -> range:
    """The words of the hypothesis that stand for the reference's words at ``places``, with what was inserted at their edges."""
    touched = [number for number, stretch in enumerate(alignment) if _overlap(places, stretch.reference)]
    bounds: list[int] = []
    for number in touched:
        stretch = alignment[number]
        if stretch.edit is Edit.DELETE:
            continue
        common = _common(places, stretch.reference)
        shift = stretch.hypothesis.start - stretch.reference.start
        bounds += [common.start + shift, common.stop + shift]
    for number in (touched[0] - 1, touched[-1] + 1) if touched else ():
        if 0 <= number < len(alignment) and alignment[number].edit is Edit.INSERT:
            bounds += [alignment[number].hypothesis.start, alignment[number].hypothesis.stop]
    return range(min(bounds), max(bounds)) if bounds else range(0)


def _stands_in_reference(one: Occurrence, alignment: Sequence[Stretch]) -> bool:
    """Whether all words of a term in the hypothesis were said, perhaps as part of a longer term."""
    matched = sum(len(_common(one.words, stretch.hypothesis)) for stretch in alignment if stretch.edit is Edit.EQUAL)
    return matched == len(one.words)


def _outcome_of_said(
    one: Occurrence,
    counterpart: Occurrence | None,
    alignment: Sequence[Stretch],
    reference: Sequence[str],
    hypothesis: Sequence[str],
) -> TermOutcome:
    correct = counterpart is not None or _all_equal(one.words, alignment)
    place = counterpart.words if counterpart else _counterpart_words(one.words, alignment)
    return TermOutcome(
        term=one.term,
        category=one.category,
        kind=TermOutcomeKind.CORRECT if correct else TermOutcomeKind.MISSED,
        reference=words_in(one.words, reference),
        hypothesis=words_in(place, hypothesis),
    )


def _invention(
    one: Occurrence, alignment: Sequence[Stretch], reference: Sequence[str], hypothesis: Sequence[str]
) -> TermOutcome:
    aligned = [
        words_in(range(common.start + shift, common.stop + shift), reference)
        for stretch in alignment
        if stretch.edit in (Edit.EQUAL, Edit.SUBSTITUTE) and (common := _common(one.words, stretch.hypothesis))
        for shift in [stretch.reference.start - stretch.hypothesis.start]
    ]
    return TermOutcome(
        term=one.term,
        category=one.category,
        kind=TermOutcomeKind.INVENTED,
        reference=" ".join(aligned),
        hypothesis=words_in(one.words, hypothesis),
    )


def _common(first: range, second: range) -> range:
    start = max(first.start, second.start)
    return range(start, max(start, min(first.stop, second.stop)))


def _overlap(first: range, second: range) -> bool:
    return len(_common(first, second)) > 0
