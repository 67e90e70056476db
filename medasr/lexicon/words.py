"""Text → words that can be compared with a lexicon's, each with its place in the text.

Matching terms needs other words than a word error rate does: a number and its unit are two words even when written together
(``500mg``), and what stands between two words decides whether they can belong to one term.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

_LETTER = r"[^\W\d_]"
_MARKS = "[\u0300-\u036f]+"
_LETTERS = rf"{_LETTER}+(?:{_MARKS}{_LETTER}*)*"

#: An abbreviation with points (I.V.), a word with or without an apostrophe (Crohn's), a number, or one of two unit signs.
_WORD = re.compile(rf"{_LETTER}(?:\.{_LETTER})+(?!{_LETTER})|{_LETTERS}(?:['’]{_LETTERS})*|\d+|[%°]")
_HYPHENS = frozenset("-\u2010\u2011")


class Gap(Enum):
    """What stands between a word and the one before."""

    NOTHING = "nothing"  #: ``500mg``: letters meet digits
    HYPHEN = "hyphen"
    SPACE = "space"  #: any white space, or a slash
    BARRIER = "barrier"  #: punctuation, or the beginning of the text: no term reaches across


class Word(NamedTuple):
    """One word of a text."""

    normal: str  #: as compared: case-folded, without accents; ``'s`` and ``n't`` without the apostrophe
    start: int  #: offset of the first character in the text
    end: int  #: offset after the last character
    gap: Gap  #: between the word before and this one


def split_words(text: str) -> Iterator[Word]:
    """Give the words of ``text`` in order; time is linear in its length."""
    end = 0
    before = ""
    for match in _WORD.finditer(text):
        start = match.start()
        gap = _gap(text[end:start], before) if before else Gap.BARRIER
        end = match.end()
        before = _normal(match.group())
        yield Word(before, start, end, gap)


def split_runs(text: str) -> Iterator[list[Word]]:
    """Give the words of ``text`` in runs without a barrier inside, so that a long text is never held as words at once."""
    run: list[Word] = []
    for word in split_words(text):
        if word.gap is Gap.BARRIER and run:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def split_form(form: str) -> list[str]:
    """Give the words of a lexicon's form as they are compared; quick for the many that are letters and spaces."""
    if form.isascii() and form.replace(" ", "").isalpha():
        return form.lower().split()
    return [word.normal for word in split_words(form)]


def _gap(between: str, before: str) -> Gap:
    if between == " ":
        return Gap.SPACE
    if between and ((between[0] == "." and len(before) == 1) or (between[0] in "'’" and before[-1] == "s")):
        between = between[1:]  # H. pylori, Graves' disease
    if not between:
        return Gap.NOTHING
    if between in _HYPHENS:
        return Gap.HYPHEN
    return Gap.SPACE if between == "/" or between.isspace() else Gap.BARRIER


def _normal(word: str) -> str:
    """Fold case and accents. NFD takes composed and decomposed accents to the same marks, which then fall away."""
    if not word.isascii():
        decomposed = unicodedata.normalize("NFD", word.casefold())
        word = "".join(character for character in decomposed if not unicodedata.combining(character))
        word = word.replace("’", "'")
    word = word.lower()
    if word.endswith(("'s", "n't")):
        return word.replace("'", "")
    return word.replace(".", "")
