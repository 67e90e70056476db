"""File names as they come: bytes, kept as bytes, shown escaped, turned into safe names for what we write ourselves.

A name is never a key: it may be no UTF-8 at all, and the composed and decomposed spellings of "José" differ.
"""

from __future__ import annotations

import unicodedata

#: Longest stem given by :func:`safe_stem`, in bytes; leaves room for suffixes below the file systems' 255.
STEM_BYTES = 120

#: Given for a name of which nothing safe remains.
NAMELESS = "recording"

_KEPT_PUNCTUATION = frozenset(" ._-+(),@=")
_WINDOWS_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{device}{digit}" for device in ("COM", "LPT") for digit in "0123456789¹²³")}
)


def split_suffix(name: str) -> tuple[str, str]:
    """Split a name before its last dot, which may not be the first character: ``("a.b", ".wav")``, ``(".wav", "")``."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")


def printable_name(name: bytes) -> str:
    r"""Give a name as one line of harmless text, for people, logs of the command line, and JSON.

    Bytes that are no UTF-8 become ``\xNN``; control characters, line ends, invisible and direction-changing characters
    become ``\uNNNN``; a backslash becomes ``\\``, so two different names never look the same.
    """
    text = name.decode("utf-8", "surrogateescape")
    return text if text.isprintable() and "\\" not in text else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape carries the byte 0x80..0xFF
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def folded(name: str) -> str:
    """Give what two spellings of one name have in common, by capital or small letters, composed or decomposed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_stem(name: bytes) -> str:
    """Give the stem for the files we write about a recording: harmless to file systems, shells, terminals and Windows.

    Given the recording's name with its extension; letters of any script, digits, marks and a little punctuation stay,
    everything else becomes ``_``. Never empty, at most :data:`STEM_BYTES` bytes of UTF-8, never beginning with a dot or a
    dash. Different names may give the same stem.
    """
    stem, _ = split_suffix(name.decode("utf-8", "replace"))
    text = unicodedata.normalize("NFC", stem)
    text = _shorten("".join(character if _is_kept(character) else "_" for character in text), STEM_BYTES)
    if text.split(".")[0].rstrip().upper() in _WINDOWS_DEVICES:
        text = _shorten("_" + text, STEM_BYTES)
    return text or NAMELESS


def _is_kept(character: str) -> bool:
    return character in _KEPT_PUNCTUATION or unicodedata.category(character)[0] in "LNM"


def _shorten(text: str, size: int) -> str:
    """At most so many bytes, cut between characters, without the edges that hide a file or that Windows drops."""
    text = text.lstrip(" .-")
    return text.encode()[:size].decode("utf-8", "ignore").rstrip(" .")
