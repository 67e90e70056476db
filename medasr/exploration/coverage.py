"""Which medical terms a dataset's texts hold, how often, and in which part of which split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medasr.dataset.utterance import Utterance
from medasr.lexicon.matching import Lexicon, find
from medasr.splits import Split


@dataclass(frozen=True, kw_only=True)
class TermFacts:
    """One lexicon term that occurs."""

    term: str
    category: str
    occurrences: int
    recordings: int
    parts: dict[str, dict[str, int]]  #: split → part → occurrences there


@dataclass(frozen=True, kw_only=True)
class CategoryFacts:
    """One category of the lexicon."""

    category: str
    lexicon_terms: int  #: that the lexicon holds
    terms: int  #: of these, that occur
    occurrences: int


@dataclass(frozen=True, kw_only=True)
class TermCoverage:
    """What the lexicon finds in the references as they were published."""

    lexicon_sha256: str
    lexicon_terms: int
    occurrences: int
    recordings: int  #: that hold at least one term
    terms: tuple[TermFacts, ...]  #: that occur, most frequent first
    categories: tuple[CategoryFacts, ...]  #: of the whole lexicon
    only_in_test: dict[str, tuple[str, ...]]  #: split → terms of its test part that its training part never shows


def cover_terms(utterances: Iterable[Utterance], lexicon: Lexicon, splits: Sequence[Split]) -> TermCoverage:
    """Count the lexicon's terms in the references of ``utterances``, whole and in each part of each of ``splits``."""
    places = [(split.name, _parts_by_id(split)) for split in splits]
    occurrences: Counter[tuple[str, str]] = Counter()
    recordings: Counter[tuple[str, str]] = Counter()
    parts: defaultdict[tuple[str, str], defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    with_terms = 0
    found: dict[str, Counter[tuple[str, str]]] = {}
    for utterance in utterances:
        text = utterance.reference
        if text not in found:
            found[text] = Counter((match.term, match.category) for match in find(lexicon, text))
        hits = found[text]
        with_terms += bool(hits)
        occurrences.update(hits)
        recordings.update(hits.keys())
        for name, part_of in places:
            if part := part_of.get(utterance.id):
                for key, count in hits.items():
                    parts[key][name][part] += count
    terms = tuple(
        TermFacts(
            term=key[0],
            category=key[1],
            occurrences=count,
            recordings=recordings[key],
            parts={name: dict(parts[key][name]) for name, _ in places},
        )
        for key, count in sorted(occurrences.items(), key=lambda item: (-item[1], item[0]))
    )
    return TermCoverage(
        lexicon_sha256=lexicon.sha256,
        lexicon_terms=len(lexicon.terms),
        occurrences=occurrences.total(),
        recordings=with_terms,
        terms=terms,
        categories=_categories(lexicon, terms),
        only_in_test={name: _only_in_test(terms, name) for name, _ in places},
    )


def _parts_by_id(split: Split) -> Mapping[str, str]:
    return {identifier: part for part, identifiers in split.parts.items() for identifier in identifiers}


def _only_in_test(terms: Sequence[TermFacts], split: str) -> tuple[str, ...]:
    return tuple(
        term.term for term in terms if term.parts[split].get("test", 0) and not term.parts[split].get("train", 0)
    )


def _categories(lexicon: Lexicon, terms: Sequence[TermFacts]) -> tuple[CategoryFacts, ...]:
    known = Counter(term.category for term in lexicon.terms)
    heard = Counter(term.category for term in terms)
    occurrences: Counter[str] = Counter()
    for term in terms:
        occurrences[term.category] += term.occurrences
    return tuple(
        CategoryFacts(
            category=category, lexicon_terms=known[category], terms=heard[category], occurrences=occurrences[category]
        )
        for category in sorted(known, key=lambda category: (-occurrences[category], category))
    )
