"""Lexicon files → checked terms: ``term,category,variants`` with variants separated by ``|``, UTF-8, one term a line.

Several files make one list. A form (a term or a variant) belongs to the last file that writes it, so a hospital's own file can
give a term another category, add variants, or make another word the term's name.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from medasr.errors import ConfigurationError
from medasr.lexicon.everyday import EVERYDAY_WORDS
from medasr.lexicon.words import split_form, split_runs

CATEGORIES = ("anatomy", "condition", "drug", "procedure", "symptom", "test", "unit")
COLUMNS = ["term", "category", "variants"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One concept and the ways to say it, plurals and spellings aside."""

    term: str
    category: str
    variants: tuple[str, ...] = ()


class _Row(NamedTuple):
    """A line of a file: each form with its key, the term first."""

    category: str
    forms: list[tuple[str, str]]

    @property
    def key(self) -> str:
        return self.forms[0][0]


def read_terms(files: Sequence[Path]) -> list[Term]:
    """Read and merge lexicon files, later ones over earlier ones.

    Raises:
        ConfigurationError: naming every problem in every file as ``FILE:LINE``.
    """
    problems: list[str] = []
    layers = [_read_file(file, problems) for file in files]
    if problems:
        raise ConfigurationError("The lexicon is wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
    return _merge(layers)


def form_key(form: str) -> str:
    """Give what two ways to write the same form have in common: ``X-ray``, ``x ray`` and ``xray`` are one form."""
    return "".join(split_form(form))


def _read_file(file: Path, problems: list[str]) -> list[_Row]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"{file}: cannot be read ({error.strerror}); correct lexicon.extra or the file's permissions")
        return []
    except UnicodeDecodeError:
        problems.append(f"{file}: is not UTF-8; save it as CSV in UTF-8")
        return []
    lines = csv.reader(io.StringIO(text, newline=""))
    if next(lines, None) != COLUMNS:
        problems.append(f"{file}:1: the first line must be {','.join(COLUMNS)}")
        return []
    rows: list[_Row] = []
    seen: dict[str, int] = {}  # key of a form → its line
    for columns in lines:
        if not columns:
            continue
        where = f"{file}:{lines.line_num}"
        if len(columns) != len(COLUMNS):
            problems.append(f"{where}: needs the columns {','.join(COLUMNS)}; without variants, end with a comma")
            continue
        row = _row(columns)
        problems.extend(f"{where}: {problem}" for problem in _row_problems(row, lines.line_num, seen))
        rows.append(row)
    return rows


def _row(columns: Sequence[str]) -> _Row:
    term, category, variants = columns
    texts = [term, *variants.split("|")] if variants.strip() else [term]
    return _Row(category.strip(), [(form_key(text), text.strip()) for text in texts])


def _row_problems(row: _Row, line: int, seen: dict[str, int]) -> list[str]:
    """Check one row; ``seen`` collects which line a form stands in."""
    problems = [problem for key, form in row.forms if (problem := form_problem(key, form, row.category))]
    if row.category not in CATEGORIES:
        problems.append(f"unknown category {row.category!r}; use one of {', '.join(CATEGORIES)}")
    if len(row.forms) > 1 and len({form.casefold() for _, form in row.forms}) < len(row.forms):
        problems.append("writes a form twice; delete one")
    for key, form in row.forms:
        if key and seen.setdefault(key, line) != line:
            problems.append(f"{form!r} stands in line {seen[key]} already; delete one")
    return problems


def form_problem(key: str, form: str, category: str) -> str | None:
    """Say what is wrong with a form of a term, given what it is compared by; None when it can be found in texts."""
    if not form:
        return "has an empty term or variant; fill it in or delete it"
    if not _is_matchable(form):
        return f"{form!r} never matches; use letters, digits, and single spaces, hyphens, apostrophes or slashes between them"
    if category != "unit" and (len(key) == 1 or key in EVERYDAY_WORDS):
        return f"{form!r} is too common alone; write it with the words around it"
    return None


def _is_matchable(form: str) -> bool:
    if form.replace(" ", "").isalpha():
        return True
    runs = list(split_runs(form))
    return len(runs) == 1 and (runs[0][0].start, runs[0][-1].end) == (0, len(form))


def _merge(layers: Iterable[Sequence[_Row]]) -> list[Term]:
    rows: dict[str, _Row] = {}  # by the key of the term
    owners: dict[str, str] = {}  # key of a form → key of the term that has it
    for layer in layers:
        for row in layer:
            replaced = [rows.pop(key) for key, _ in row.forms if key in rows]
            for old in replaced:
                row.forms.extend(form for form in old.forms if owners[form[0]] == old.key and form not in row.forms)
            name = row.key
            rows[name] = row
            for key, _ in row.forms:
                owners[key] = name
    return [
        Term(
            term=row.forms[0][1],
            category=row.category,
            variants=tuple([form for key, form in row.forms[1:] if owners[key] == name]),
        )
        for name, row in rows.items()
    ]
