"""Text normalizers by name and version. A change of rules is a new version: scores under different versions are not compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from medasr.errors import ConfigurationError
from medasr.text.clinical import normalize_clinical
from medasr.text.notebook import fold_for_rates


@dataclass(frozen=True, kw_only=True)
class TextNormalizer:
    """What counts as the same text."""

    name: str
    version: int
    function: Callable[[str], str] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """Name and version, as a recipe holds it: clinical-en/1."""
        return f"{self.name}/{self.version}"

    def __call__(self, text: str) -> str:
        """Normalize a text; the result may be empty."""
        return self.function(text)


@cache
def _whisper() -> Any:
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()


def _normalize_as_whisper(text: str) -> str:
    normalized: str = _whisper()(text)
    return normalized.strip()


_ALL = (
    TextNormalizer(name="seed", version=1, function=fold_for_rates),
    TextNormalizer(name="whisper-en", version=1, function=_normalize_as_whisper),
    TextNormalizer(name="clinical-en", version=1, function=normalize_clinical),
)

#: The names that :func:`text_normalizer` knows.
NORMALIZERS = tuple(normalizer.name for normalizer in _ALL)


def text_normalizer(name: str) -> TextNormalizer:
    """Find a normalizer by its name, or by name and version. Raise ConfigurationError, naming the known ones, for another."""
    for normalizer in _ALL:
        if name in (normalizer.name, normalizer.id):
            return normalizer
    known = ", ".join(normalizer.id for normalizer in _ALL)
    raise ConfigurationError(f'there is no text normalizer "{name}"; known are {known}')
