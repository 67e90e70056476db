"""The forms of all terms in one hash table, and the walk over a text that finds them.

A form is looked up with its words joined (``sorethroat``), together with the places where white space may stand between them. So
``X-ray``, ``x ray`` and ``xray`` are found alike, while *a problem in digestion* is no indigestion. From each word the walk goes
on as long as the words joined so far begin some form; how far is bounded by the longest form, hence time is linear in the text
and does not depend on the number of terms.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from medasr.lexicon.everyday import EVERYDAY_WORDS, IDIOMS
from medasr.lexicon.file import Term
from medasr.lexicon.inflection import plurals, spellings
from medasr.lexicon.words import Gap, Word, split_form

_NO_TERM = -1
_CONFLICT = -2

#: What a number may begin or go on with, in words.
NUMBER_WORDS = frozenset(
    """
    zero half quarter one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
    """.split()  # noqa: SIM905 - a literal of strings would take pages
)
_ARTICLES = frozenset({"a", "an"})


class Form(NamedTuple):
    """One way to write a term."""

    term: int  #: which term; negative for an idiom, which is matched and then passed over
    spaces: int  #: bit ``n`` is set where white space may stand before character ``n`` of the joined form


class Found(NamedTuple):
    """A term found: words ``first`` to ``last``, both included."""

    term: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class TermIndex:
    """Everything a walk over a text needs; made by :func:`build_index`."""

    forms: Mapping[str, Form]
    prefixes: Container[str]  #: what may stand before white space within a form
    longest: int  #: characters of the longest form
    units: Container[int]  #: terms that count only behind a number


def build_index(terms: Sequence[Term]) -> TermIndex:
    """Index the forms of ``terms``, with their plurals, possessives, and British and American spellings.

    A generated form never wins over a written one. If it could be two terms it is neither: a spelling variant never turns one drug
    into another.
    """
    written: dict[str, Form] = {}
    generated: dict[str, Form] = {}
    for number, term in enumerate(terms):
        classical = term.category not in {"drug", "unit"}
        for text in (term.term, *term.variants):
            as_written, *others = _wordings(text, classical=classical)
            _add(written, *as_written, number)
            for key, spaces in others:
                _add(generated, key, spaces, number)
    for idiom in IDIOMS:
        (key, spaces), *_ = _wordings(idiom, classical=False)
        written.setdefault(key, Form(_NO_TERM, spaces))
    forms = {key: form for key, form in generated.items() if form.term != _CONFLICT and key not in EVERYDAY_WORDS}
    for key, form in written.items():
        other = forms.get(key)
        forms[key] = Form(form.term, form.spaces | other.spaces) if other and other.term == form.term else form
    return TermIndex(
        forms=forms,
        prefixes=frozenset(_prefixes(forms)),
        longest=max(map(len, forms), default=0),
        units=frozenset(number for number, term in enumerate(terms) if term.category == "unit"),
    )


def _wordings(text: str, *, classical: bool) -> list[tuple[str, int]]:
    """Give the ways to write one form, joined and with the places of white space (see Form), first as it stands.

    Its noun, the last word or the one before "of", may be a plural.
    """
    words = split_form(text)
    heads = [("", 0)]
    for word, following in pairwise(words):
        choices = _noun_choices(word, classical) if following == "of" else spellings(word)
        joined = [(head + choice, spaces) for head, spaces in heads for choice in choices]
        heads = [(head, spaces | 1 << len(head)) for head, spaces in joined]
    wordings = [(head + noun, spaces) for head, spaces in heads for noun in _noun_choices(words[-1], classical)]
    if "'s " in text:  # Crohn's disease, Crohn disease
        wordings += _wordings(text.replace("'s ", " "), classical=classical)
    return wordings


@lru_cache(maxsize=65_536)
def _noun_choices(word: str, classical: bool) -> tuple[str, ...]:
    singular = spellings(word)
    return sum((plurals(one, classical=classical) for one in singular), start=singular)


def _add(forms: dict[str, Form], key: str, spaces: int, term: int) -> None:
    before = forms.get(key)
    if before is None:
        forms[key] = Form(term, spaces)
    elif before.term != term:
        forms[key] = Form(_CONFLICT, 0)
    elif before.spaces != spaces:
        forms[key] = Form(term, spaces | before.spaces)


def _prefixes(forms: Mapping[str, Form]) -> Iterable[str]:
    for key, form in forms.items():
        spaces = form.spaces
        while spaces:
            yield key[: spaces.bit_length() - 1]
            spaces ^= 1 << (spaces.bit_length() - 1)


def find_words(index: TermIndex, words: Sequence[Word]) -> Iterator[Found]:
    """Give the terms in a run of words from left to right, at each word the longest; they do not overlap."""
    first = 0
    while first < len(words):
        found = _longest_at(index, words, first)
        if found is None:
            first += 1
            continue
        if found.term >= 0:
            yield found
        first = found.last + 1


def _longest_at(index: TermIndex, words: Sequence[Word], first: int) -> Found | None:
    found = None
    joined = words[first].normal
    spaces = 0
    for last in range(first, len(words)):
        form = index.forms.get(joined)
        if form and not spaces & ~form.spaces and (form.term not in index.units or _is_quantity(words, first)):
            found = Found(form.term, first, last)
        if last + 1 == len(words):
            break
        following = words[last + 1]
        if following.gap is Gap.SPACE:
            if joined not in index.prefixes:
                break
            spaces |= 1 << len(joined)
        elif len(joined) > index.longest:
            break
        joined += following.normal
    return found


def _is_quantity(words: Sequence[Word], unit: int) -> bool:
    """Tell whether a number stands before a unit: ``500 mg``, ``two tablets``, ``half a tablet``."""
    before = unit - 1
    if before > 0 and words[before].normal in _ARTICLES:
        before -= 1
    return before >= 0 and (words[before].normal[0].isnumeric() or words[before].normal in NUMBER_WORDS)
