"""A list of terms that are likely in some recordings: one a line, or a lexicon's CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

from medasr.errors import ConfigurationError
from medasr.lexicon.file import COLUMNS

#: So many terms at most, more than our lexicon has.
MAX_TERMS = 10_000
#: So many characters of one at most.
MAX_LENGTH = 80
#: So many bytes of a file at most.
MAX_BYTES = 2**20


def read_term_list(file: Path) -> tuple[str, ...]:
    """The terms of a file in UTF-8, in order, each once: one a line, or term and variants of CSV with a lexicon's header.

    Empty lines and those that begin with ``#`` are none. Raise ConfigurationError, naming the file and what is to be done, where it cannot be
    read, holds no term, more than :data:`MAX_TERMS`, or one that no text can hold.
    """
    lines = [line.strip() for line in _read(file).splitlines()]
    written = (
        [
            (number, form.strip())
            for number, row in enumerate(csv.reader(lines[1:]), start=2)
            for form in [*row[:1], *(row[2] if len(row) > 2 else "").split("|")]
        ]
        if lines and _is_header(lines[0])
        else list(enumerate(lines, start=1))
    )
    terms: dict[str, None] = {}
    for number, term in written:
        if term and not term.startswith("#"):
            if problem := _problem(term):
                raise ConfigurationError(f"{file}:{number}: {problem}")
            terms[" ".join(term.split())] = None
    if not terms:
        raise ConfigurationError(f"{file}: holds no term; write one a line, or take the list out of the configuration")
    if len(terms) > MAX_TERMS:
        raise ConfigurationError(f"{file}: holds {len(terms)} terms; {MAX_TERMS} at most, better those that are said")
    return tuple(terms)


def _is_header(line: str) -> bool:
    return [cell.strip().lower() for cell in line.split(",")] == COLUMNS


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigurationError(f"{file}: is larger than {MAX_BYTES} bytes; is it a list of terms?")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read ({error.strerror}); correct its name or permissions, or take the list out of the configuration"
        ) from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is not UTF-8; save it as text in UTF-8") from None


def _problem(term: str) -> str:
    """What keeps a term from being written in any text; empty when nothing does."""
    if len(term) > MAX_LENGTH:
        return f"a term is longer than {MAX_LENGTH} characters; write one a line"
    if not term[0].isalnum() or not term.isprintable():
        return "this is no term; it must begin with a letter or a digit"
    if "<|" in term:
        return "this is no term; <| is how the model writes its own signs"
    return ""
