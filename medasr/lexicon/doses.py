"""The number of a dose: what stands before a unit."""

from __future__ import annotations

import re

from medasr.lexicon.index import NUMBER_WORDS

#: A number is looked for so far back, in characters: "one hundred and twenty five thousand" has 37.
_LONGEST = 80

_ONE = rf"(?:\d(?:[\d.,/:]*\d)?|(?:{'|'.join(sorted(NUMBER_WORDS))})\b)"
_BEFORE_UNIT = re.compile(
    rf"(?<![^\W_])(?<![\d.,]){_ONE}(?:(?:\s*-\s*|\s+(?:(?:and|to|or|point)\s+)?(?:an?\s+)?|\s*–\s*){_ONE})*[\s-]*(?:an?\s+)?$",
    re.IGNORECASE,
)


def dose_start(text: str, unit: int) -> int:
    """Given a text and the place of a unit behind a number, return where the number begins; the unit's place where none is seen."""
    found = _BEFORE_UNIT.search(text, max(0, unit - _LONGEST), unit)
    return found.start() if found else unit
