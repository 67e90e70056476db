"""A lexicon in a text normalizer's words, so that its terms are found in normalized texts.

A normalizer changes terms as it changes texts: "can't breathe" becomes "can not breathe", "first aid" "1st aid", "mg/kg" "mg per kg".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from medasr.lexicon import Lexicon, find, make_lexicon
from medasr.lexicon.file import Term, form_key, form_problem

#: A unit is a term behind a number only, and may be normalized there only.
_NUMBER = "5 "


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreachableForm:
    """A way to say a term that can never be found in a normalized text."""

    term: str
    category: str
    form: str  #: as the lexicon writes it
    normalized: str
    reason: str  #: for people


def normalize_lexicon(lexicon: Lexicon, normalizer: Callable[[str], str]) -> Lexicon:
    """Give the lexicon with what the normalizer makes of its terms and variants as further variants.

    Each term keeps its name and category. A normalized form that is another term's already, or too common alone, is left out:
    :func:`unreachable_terms` tells which. The result has another sha256; results are filed under that of the lexicon it was made from.
    """
    owners = {form_key(form): term.term for term in lexicon.terms for form in _forms(term)}
    adapted = []
    for term in lexicon.terms:
        added = []
        for _, normalized in _normalized_forms(term, normalizer):
            key = form_key(normalized)
            if key not in owners and form_problem(key, normalized, term.category) is None:
                owners[key] = term.term
                added.append(normalized)
        adapted.append(replace(term, variants=(*term.variants, *added)))
    return make_lexicon(adapted)


def unreachable_terms(lexicon: Lexicon, normalizer: Callable[[str], str]) -> tuple[UnreachableForm, ...]:
    """List the terms and variants of a lexicon that are lost in normalized texts, even for its normalized form."""
    adapted = normalize_lexicon(lexicon, normalizer)
    return tuple(
        UnreachableForm(term=term.term, category=term.category, form=form, normalized=normalized, reason=reason)
        for term in lexicon.terms
        for form, normalized in _normalized_forms(term, normalizer)
        if (reason := _reason(adapted, term, normalized))
    )


def _reason(adapted: Lexicon, term: Term, normalized: str) -> str | None:
    if not normalized:
        return "nothing is left of it after normalization"
    text = _NUMBER + normalized if term.category == "unit" else normalized
    found = [match.term for match in find(adapted, text)]
    if found == [term.term]:
        return None
    if len(found) == 1:
        return f"after normalization it cannot be told from {found[0]!r}"
    return (
        form_problem(form_key(normalized), normalized, term.category)
        or "after normalization other terms are found in it"
    )


def _normalized_forms(term: Term, normalizer: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    for form in _forms(term):
        if term.category == "unit":
            yield form, " ".join(normalizer(_NUMBER + form).split()).removeprefix(_NUMBER.strip()).strip()
        else:
            yield form, " ".join(normalizer(form).split())


def _forms(term: Term) -> tuple[str, ...]:
    return (term.term, *term.variants)
