"""Other ways to write the same English medical word: plurals, and British or American spelling.

Forms are generated from the words of a lexicon rather than folded out of a transcript, so that a rule which makes a word nobody
writes (``vaginae`` → ``vagine``) does no harm, and no two words of a transcript are ever taken for each other by accident.
The rules know the shapes that matter in medicine, not English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

#: British, American, what stands before both, and what follows: regular expressions, the one before as for a lookbehind.
_SPELLINGS = (
    ("aem", "em", "[b-z]", "i[ac]"),  # anaemia, septicaemic, ischaemia
    ("aes", "es", r"\bc", "ar"),  # caesarean
    ("aes", "es", "an", "th"),  # anaesthetic
    ("aetio", "etio", r"\b", ""),
    ("caec", "cec", r"\b", "[au]"),
    ("coel", "cel", r"\b", "iac"),
    ("faec", "fec", r"\b", "[ae]"),
    ("foet", "fet", r"\b", "[au]"),
    ("gynaec", "gynec", "", ""),
    ("haem", "hem", r"\b|[abd-z]", "[ao]"),  # haemorrhage, but chemotherapy
    ("leuco", "leuko", "", ""),
    ("oedem", "edem", "", "a"),
    ("oesoph", "esoph", "", ""),
    ("oestr", "estr", r"\b", ""),
    ("orthopaed", "orthoped", "", ""),
    ("paed", "ped", r"\b", "i"),
    ("phaeo", "pheo", r"\b", ""),
    ("pnoe", "pne", "", "[ai]"),  # apnoea
    ("rrhoe", "rrhe", "", "[ai]"),  # diarrhoea, seborrhoeic
    ("sulph", "sulf", "", ""),
    ("our", "or", "tum|col|lab|vap", "$|s|ed|al|ing"),
    ("our", "or", r"\bod|avi", "$|s|al"),  # odour, behavioural
    ("re", "er", "fib|cent|lit|met|goit", "$|s"),  # litres, goitre
    ("is", "iz", "[a-z]{3}", r"ation|e\b|ed\b|er\b|ers\b|ing\b"),  # catheterisation, but not rise
    ("ys", "yz", "l", r"e\b|ed\b|er\b|ing\b"),  # paralysed, dialyser
)

_IRREGULAR_PLURALS = {
    "calf": "calves",
    "child": "children",
    "foot": "feet",
    "foramen": "foramina",
    "ganglion": "ganglia",
    "index": "indices",
    "lumen": "lumina",
    "man": "men",
    "tooth": "teeth",
    "woman": "women",
}

#: Latin and Greek endings; each word gets these besides its regular plural.
_CLASSICAL_ENDINGS = (
    ("is", "es"),  # diagnosis, metastasis
    ("itis", "itides"),
    ("us", "i"),  # thrombus
    ("um", "a"),  # diverticulum
    ("oma", "omata"),
    ("a", "ae"),  # vertebra
    ("ex", "ices"),
    ("ix", "ices"),  # appendix
    ("nx", "nges"),  # phalanx
)
_SHORTEST_CLASSICAL = 5
_CLASSICAL = tuple(one for one, _ in _CLASSICAL_ENDINGS)
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = frozenset("aeiou")


_AMERICAN_FOR = {british: american for british, american, _, _ in _SPELLINGS}
_BRITISH_FOR = {american: british for british, american, _, _ in _SPELLINGS}


def _compile(literals: Iterable[str]) -> re.Pattern[str]:
    """Make one pattern of all rules. Each begins with its literal, so that most are ruled out by one character."""
    rules = []
    for literal, (_, _, before, after) in zip(literals, _SPELLINGS, strict=True):
        contexts = "|".join(f"(?<={context}{literal})" for context in before.split("|"))
        rules.append(f"{literal}(?:{contexts})(?={after})")
    return re.compile("|".join(rules))


_BRITISH = _compile(rule[0] for rule in _SPELLINGS)
_AMERICAN = _compile(rule[1] for rule in _SPELLINGS)


def _americanize(match: re.Match[str]) -> str:
    return _AMERICAN_FOR[match.group()]


def _britishize(match: re.Match[str]) -> str:
    return _BRITISH_FOR[match.group()]


@lru_cache(maxsize=65_536)
def spellings(word: str) -> tuple[str, ...]:
    """Give ``word`` (in lower case), then its other spellings: British if it is American, American if it is British."""
    american = _BRITISH.sub(_americanize, word)
    british = _AMERICAN.sub(_britishize, word)
    if word == american == british:
        return (word,)
    return tuple(dict.fromkeys((word, american, british)))


def plurals(word: str, *, classical: bool = True) -> tuple[str, ...]:
    """Give the plurals of ``word`` (in lower case), and its possessive as split_words writes it.

    A word that looks plural already (``headaches``) has none. ``classical`` adds Latin and Greek plurals (``vertebrae``);
    names of drugs and units have none.
    """
    if not word[-1:].isalpha() or (word.endswith("s") and not word.endswith(("ss", "us", "is"))):
        return ()
    found = [word + "s"]
    if word in _IRREGULAR_PLURALS:
        found.append(_IRREGULAR_PLURALS[word])
    elif word.endswith(_SIBILANTS):
        found.append(word + "es")
    elif word.endswith("y") and word[-2:-1] not in _VOWELS:
        found.append(word[:-1] + "ies")
    if classical and len(word) >= _SHORTEST_CLASSICAL and word.endswith(_CLASSICAL):
        found += [word[: -len(one)] + many for one, many in _CLASSICAL_ENDINGS if word.endswith(one)]
    return tuple(found)
