"""Names are bytes: kept exactly, shown harmlessly, turned into safe names for what we write."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.intake.names import STEM_BYTES, folded, printable_name, safe_stem, split_suffix

FILE_NAMES = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "replace")),
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"visit 3.wav", "visit 3.wav"),
        ("Besuch Müller.wav".encode(), "Besuch Müller.wav"),
        (b"two\nlines.wav", r"two\u000alines.wav"),
        (b"\x1b[31mred.wav", r"\u001b[31mred.wav"),
        ("evil\u202evaw.exe".encode(), r"evil\u202evaw.exe"),
        (b"caf\xe9.wav", r"caf\xe9.wav"),
        (b"back\\slash.wav", r"back\\slash.wav"),
        ("zero\u200bwidth\u2028.wav".encode(), r"zero\u200bwidth\u2028.wav"),
        ("tag\U000e0001.wav".encode(), r"tag\U000e0001.wav"),
    ],
)
def test_a_shown_name_is_one_harmless_line(name, shown):
    assert printable_name(name) == shown


@pytest.mark.parametrize("spelling", ["Notfälle", "NOTFÄLLE", unicodedata.normalize("NFD", "Notfälle")])
def test_spellings_of_one_name_fold_to_the_same(spelling: str) -> None:
    assert folded(spelling) == folded("notfälle")
    assert folded(spelling) != folded("notfalle")


@given(FILE_NAMES)
def test_any_name_can_be_shown_and_encoded(name):
    shown = printable_name(name)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.lists(FILE_NAMES, min_size=2, max_size=2, unique=True))
def test_different_names_are_shown_differently(pair):
    assert printable_name(pair[0]) != printable_name(pair[1])


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (b"visit.wav", "visit"),
        (b"visit.2026-03-01.wav", "visit.2026-03-01"),
        ("Sprechstunde Müller.wav".encode(), "Sprechstunde Müller"),
        ("診察.wav".encode(), "診察"),
        (b";$(rm -rf).wav", "__(rm -rf)"),
        (b"-rf.wav", "rf"),
        (b"..hidden.wav", "hidden"),
        (b"../../etc/passwd.wav", "_.._etc_passwd"),
        (b"a\nb\x1b.wav", "a_b_"),
        (b"caf\xe9.wav", "caf_"),
        ("evil\u202ename.wav".encode(), "evil_name"),
        (b"CON.wav", "_CON"),
        (b"con.backup.wav", "_con.backup"),
        (b"COM1 .wav", "_COM1"),
        (b"CONsult.wav", "CONsult"),
        (b"trailing. .wav", "trailing"),
        (b"a:b*c?.wav", "a_b_c_"),
        (b"...wav", "recording"),
        (b"noextension", "noextension"),
        (b"w" * 251 + b".wav", "w" * 120),
    ],
)
def test_a_stem_is_safe(name, stem):
    assert safe_stem(name) == stem


def test_composed_and_decomposed_spellings_give_one_stem():
    spellings = [unicodedata.normalize(form, "José.wav").encode() for form in ("NFC", "NFD")]
    assert spellings[0] != spellings[1]
    assert safe_stem(spellings[0]) == safe_stem(spellings[1]) == "José"


@given(FILE_NAMES)
def test_a_stem_is_safe_whatever_the_name(name):
    stem = safe_stem(name)
    assert 0 < len(stem.encode()) <= STEM_BYTES
    assert stem[0] not in ".- "
    assert stem[-1] not in ". "
    assert stem.isprintable()
    assert not set(stem) & set("/\\:*?\"<>|;$&`'\n")


@given(FILE_NAMES)
def test_a_stem_is_its_own_stem(name):
    assert safe_stem(safe_stem(name).encode() + b".wav") == safe_stem(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.wav", ("a", ".wav")),
        ("a.b.wav", ("a.b", ".wav")),
        (".wav", (".wav", "")),
        ("a", ("a", "")),
        ("a.", ("a", ".")),
    ],
)
def test_a_name_is_split_before_its_last_dot(name, parts):
    assert split_suffix(name) == parts
