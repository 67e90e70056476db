"""Lists of terms: what stands in a file, and what is wrong with one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from medasr.errors import ConfigurationError
from medasr.lexicon.term_list import MAX_TERMS, read_term_list


def write(folder: Path, text: str) -> Path:
    path = folder / "terms.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_is_a_term(tmp_path: Path) -> None:
    path = write(tmp_path, "# heart\nmetoprolol\n\n  atrial   fibrillation \nmetoprolol\r\nSjögren's syndrome\n")
    assert read_term_list(path) == ("metoprolol", "atrial fibrillation", "Sjögren's syndrome")


def test_a_lexicon_gives_terms_and_variants(tmp_path: Path) -> None:
    path = write(tmp_path, "term,category,variants\nabdomen,anatomy,belly|tummy\nlisinopril,drug,\n")
    assert read_term_list(path) == ("abdomen", "belly", "tummy", "lisinopril")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no term; write one a line"),
        ("# nothing\n\n", "holds no term"),
        ("fine\n" + "x" * 81, ":2: a term is longer than 80 characters"),
        ("-lol\n", ":1: this is no term; it must begin"),
        ("a\x1b[31m\n", ":1: this is no term; it must begin"),
        ("x<|endoftext|>\n", ":1: this is no term; <"),
        ("\n".join(f"term {number}" for number in range(MAX_TERMS + 1)), "holds 10001 terms; 10000 at most"),
        ("term\n" * 300_000, "is larger than 1048576 bytes"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_term_list(path)
    assert str(caught.value).startswith(str(path))


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.txt: cannot be read \(No such file or directory\); correct"):
        read_term_list(tmp_path / "none.txt")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_term_list(tmp_path)
    (tmp_path / "latin").write_bytes(b"Sj\xf6gren")
    with pytest.raises(ConfigurationError, match="latin: is not UTF-8"):
        read_term_list(tmp_path / "latin")
