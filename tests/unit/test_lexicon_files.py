"""What a lexicon file may say, and how files of the user's own change the shipped lexicon."""

from __future__ import annotations

from pathlib import Path

import pytest

from medasr.errors import ConfigurationError
from medasr.lexicon import Lexicon, Match, find, load_lexicon, make_lexicon
from medasr.lexicon.file import Term, read_terms

HEADER = "term,category,variants\n"


def write(folder: Path, text: str, name: str = "ours.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def only(lexicon: Lexicon, text: str) -> Match:
    (match,) = find(lexicon, text)
    return match


def problems(*files: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_terms(files)
    return str(caught.value)


def test_a_users_file_adds_terms(tmp_path):
    file = write(tmp_path, HEADER + "zorblaxumab,drug,Zorblax\n")
    assert only(load_lexicon([file]), "a dose of Zorblax").term == "zorblaxumab"


def test_a_users_file_changes_a_category_and_keeps_the_variants(tmp_path):
    file = write(tmp_path, HEADER + "heartburn,condition,fire in my chest\n")
    lexicon = load_lexicon([file])
    assert only(lexicon, "heart burn").category == "condition"
    assert only(lexicon, "fire in my chest").term == "heartburn"


def test_a_later_file_wins(tmp_path):
    first = write(tmp_path, HEADER + "zorblaxumab,drug,Zorblax\n", "first.csv")
    second = write(tmp_path, HEADER + "zorblaxumab,test,\n", "second.csv")
    assert only(load_lexicon([first, second]), "Zorblax").category == "test"
    assert only(load_lexicon([second, first]), "Zorblax").category == "drug"


def test_a_later_file_may_take_a_variant_for_a_term_of_its_own(tmp_path):
    lexicon = load_lexicon([write(tmp_path, HEADER + "Panadol Extra,drug,Panadol\n")])
    assert only(lexicon, "Panadol").term == "Panadol Extra"
    assert only(lexicon, "Tylenol").term == "paracetamol"


def test_a_later_file_may_rename_a_term_and_its_variants_follow(tmp_path):
    lexicon = load_lexicon([write(tmp_path, HEADER + "acetaminophen,drug,paracetamol\n")])
    assert only(lexicon, "paracetamol").term == only(lexicon, "Panadol").term == "acetaminophen"


def test_rows_are_merged_the_same_in_any_order(tmp_path):
    rows = ["acetaminophen,drug,paracetamol\n", "my brand,drug,Panadol\n"]
    one = load_lexicon([write(tmp_path, HEADER + "".join(rows), "one.csv")])
    other = load_lexicon([write(tmp_path, HEADER + "".join(reversed(rows)), "other.csv")])
    assert [match.term for match in find(one, "Panadol, Tylenol")] == ["my brand", "acetaminophen"]
    assert [match.term for match in find(other, "Panadol, Tylenol")] == ["my brand", "acetaminophen"]


def test_spreadsheet_habits_are_read(tmp_path):
    """A byte order mark, CRLF, quotes, blank lines, and spaces around variants."""
    file = tmp_path / "excel.csv"
    file.write_bytes('\ufeffterm,category,variants\r\n\r\n"zorblax",drug," zorb | zorby "\r\n'.encode())
    assert read_terms([file]) == [Term(term="zorblax", category="drug", variants=("zorb", "zorby"))]


def test_every_problem_is_told_at_once_with_file_and_line(tmp_path):
    first = write(
        tmp_path,
        HEADER
        + "fine term,symptom,\n"
        + "zorblax,medicine,\n"
        + ",drug,\n"
        + "two columns,drug\n"
        + "fine-term,drug,\n"
        + "what?,symptom,\n"
        + "hole,symptom,one||two\n"
        + "twin,symptom,Twin\n",
        "first.csv",
    )
    second = write(tmp_path, "word,kind\n", "second.csv")
    told = problems(first, second, tmp_path / "absent.csv")
    for expected in (
        "first.csv:3: unknown category 'medicine'; use one of anatomy, condition, drug",
        "first.csv:4: has an empty term or variant",
        "first.csv:5: needs the columns term,category,variants",
        "first.csv:6: 'fine-term' stands in line 2 already",
        "first.csv:7: 'what?' never matches",
        "first.csv:8: has an empty term or variant",
        "first.csv:9: writes a form twice",
        "second.csv:1: the first line must be term,category,variants",
        "absent.csv: cannot be read",
    ):
        assert expected in told


def test_a_file_in_another_encoding_is_refused(tmp_path):
    file = tmp_path / "latin1.csv"
    file.write_bytes(HEADER.encode() + "Ménière,condition,\n".encode("latin-1"))
    assert "is not UTF-8" in problems(file)


@pytest.mark.parametrize("word", ["may", "patient", "the", "c"])
def test_a_word_too_common_to_be_a_term_is_refused(tmp_path, word):
    assert "too common" in problems(write(tmp_path, HEADER + f"{word},drug,\n"))


def test_two_spellings_of_one_form_in_a_row_show_where_spaces_may_stand(tmp_path):
    lexicon = make_lexicon(read_terms([write(tmp_path, HEADER + "zorbache,symptom,zorb ache\n")]))
    assert only(lexicon, "zorb ache").term == only(lexicon, "zorbache").term == "zorbache"


def test_the_hash_tells_lexicons_apart_but_not_their_order(tmp_path):
    terms = [Term(term="a b", category="drug", variants=("c d", "e f")), Term(term="g h", category="test")]
    swapped = [terms[1], Term(term="a b", category="drug", variants=("e f", "c d"))]
    assert make_lexicon(terms).sha256 == make_lexicon(swapped).sha256
    assert make_lexicon(terms).sha256 != make_lexicon(terms[:1]).sha256


def test_a_generated_form_that_could_be_two_terms_is_neither():
    lexicon = make_lexicon([Term(term="zorbis", category="test"), Term(term="zorbe", category="symptom")])
    assert find(lexicon, "zorbes") == []


def test_a_written_form_wins_over_a_generated_one():
    lexicon = make_lexicon([Term(term="zorb", category="drug"), Term(term="zorbs", category="condition")])
    assert [match.category for match in find(lexicon, "zorb, zorbs")] == ["drug", "condition"]
