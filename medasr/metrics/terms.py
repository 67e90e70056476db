"""What became of each medical term of a reference, and which terms of a hypothesis nobody said. The rules: docs/metrics.md."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate

from medasr.lexicon import Lexicon, find
from medasr.metrics.alignment import Stretch, Trace, Traces, trace_words, words_in
from medasr.metrics.scores import TermOutcome, TermOutcomeKind

#: Category in which a longer name is always something else: insulin is not insulin glargine.
DRUG = "drug"


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
    lexicon: Lexicon,
    reference: Sequence[str],
    hypothesis: Sequence[str],
    alignment: Sequence[Stretch],
    confidences: Sequence[tuple[str, float]] = (),
) -> tuple[TermOutcome, ...]:
    """Judge every term of an utterance.

    Args:
        lexicon: what to look for.
        reference: words of the normalized reference.
        hypothesis: words of the normalized hypothesis.
        alignment: of these words.
        confidences: of the terms of the hypothesis before it was normalized, each with its name, in the order of the text; a term that only
            one of the two texts has gets none.

    Returns:
        What became of the reference's terms, in their order, then the invented ones in the hypothesis's order.
    """
    said, written = find_occurrences(lexicon, reference), find_occurrences(lexicon, hypothesis)
    if not said and not written:
        return ()
    traces = trace_words(alignment, len(reference), len(hypothesis))
    counterparts = _pair(said, written, traces)
    sure = _match_confidences(written, confidences)
    outcomes = []
    for number, one in enumerate(said):
        place = written[counterparts[number]].words if number in counterparts else traces.reference.around(one.words)
        correct = number in counterparts or _is_literally_there(one, written, traces.reference)
        kind = TermOutcomeKind.CORRECT if correct else TermOutcomeKind.MISSED
        confidence = sure.get(counterparts[number]) if number in counterparts else None
        outcomes.append(_outcome(one, kind, words_in(one.words, reference), words_in(place, hypothesis), confidence))
    paired = set(counterparts.values())
    for number, one in enumerate(written):
        if number not in paired and not _is_literally_there(one, said, traces.hypothesis):
            place = traces.hypothesis.exactly(one.words)
            instead, itself = words_in(place, reference), words_in(one.words, hypothesis)
            outcomes.append(_outcome(one, TermOutcomeKind.INVENTED, instead, itself, sure.get(number)))
    return tuple(outcomes)


def _match_confidences(written: Sequence[Occurrence], confidences: Sequence[tuple[str, float]]) -> dict[int, float]:
    """Find for written terms (by number) their confidence: a normalizer moves every word, but hardly changes the sequence of names."""
    names = [one.term for one in written]
    matcher = SequenceMatcher(None, [name for name, _ in confidences], names, autojunk=False)
    return {
        block.b + place: confidences[block.a + place][1]
        for block in matcher.get_matching_blocks()
        for place in range(block.size)
    }


def _pair(said: Sequence[Occurrence], written: Sequence[Occurrence], traces: Traces) -> dict[int, int]:
    """Find for each term that was said (by number) the same term written in its place; a written one counts once.

    Terms with a recognized word in common come first: they are certain. The others take the leftmost that is free, which leaves as
    many as possible for those behind them, because places follow each other as the terms do. Either side may stand in the place of
    the other, so that who is the reference decides only what is called missed and what invented.
    """
    free: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(written):
        free[one.term].append(number)
    pairs: dict[int, int] = {}
    for belong in (_share_a_word, _stand_in_place):
        for number, one in enumerate(said):
            if number in pairs:
                continue
            candidates = free[one.term]
            counterpart = next((other for other in candidates if belong(one, written[other], traces)), None)
            if counterpart is not None:
                pairs[number] = counterpart
                candidates.remove(counterpart)
    return pairs


def _share_a_word(said: Occurrence, written: Occurrence, traces: Traces) -> bool:
    trace = traces.reference
    return any(trace.equal[word] and trace.starts[word] in written.words for word in said.words)


def _stand_in_place(said: Occurrence, written: Occurrence, traces: Traces) -> bool:
    return _overlap(written.words, traces.reference.around(said.words)) or _overlap(
        said.words, traces.hypothesis.around(written.words)
    )


def _is_literally_there(one: Occurrence, others: Sequence[Occurrence], trace: Trace) -> bool:
    """Whether all words of a term stand on the other side too, and, for a drug, not within the name of another drug there."""
    if not trace.is_equal(one.words):
        return False
    place = trace.exactly(one.words)
    return one.category != DRUG or not any(
        other.category == DRUG and other.term != one.term and _overlap(other.words, place) for other in others
    )


def _outcome(
    one: Occurrence, kind: TermOutcomeKind, reference: str, hypothesis: str, confidence: float | None
) -> TermOutcome:
    return TermOutcome(
        term=one.term,
        category=one.category,
        kind=kind,
        reference=reference,
        hypothesis=hypothesis,
        confidence=confidence,
    )


def _overlap(first: range, second: range) -> bool:
    return max(first.start, second.start) < min(first.stop, second.stop)
