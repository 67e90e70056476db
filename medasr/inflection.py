"""Other ways to write the same English medical word: plurals, and British or American spelling.

Forms are generated from the words of a lexicon rather than folded out of a transcript, so that a rule which makes a word nobody
writes (``vaginae`` → ``vagine``) does no harm, and no two words of a transcript are ever taken for each other by accident.
The rules know the shapes that matter in medicine, not English.
"""

from __future__ import annotations

import re

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
_SIBILANTS = ("s", "x", "z", "ch", "sh")


def _compile(written: int, wanted: int) -> tuple[re.Pattern[str], dict[str, str]]:
    """Make one pattern of all rules. Each begins with its literal, so that most are ruled out by one character."""
    rules = []
    for rule in _SPELLINGS:
        literal, before, after = rule[written], rule[2], rule[3]
        contexts = "|".join(f"(?<={context}{literal})" for context in before.split("|"))
        rules.append(f"{literal}(?:{contexts})(?={after})")
    return re.compile("|".join(rules)), {rule[written]: rule[wanted] for rule in _SPELLINGS}


_BRITISH = _compile(0, 1)
_AMERICAN = _compile(1, 0)


def spellings(word: str) -> tuple[str, ...]:
    """Give ``word`` (in lower case), then its other spellings: British if it is American, American if it is British."""
    found = {word: None}
    for pattern, others in (_BRITISH, _AMERICAN):
        found[pattern.sub(lambda match, others=others: others[match.group()], word)] = None  # type: ignore[misc]
    return tuple(found)


def plurals(word: str, *, classical: bool = True) -> tuple[str, ...]:
    """Give the plurals of ``word`` (in lower case), and its possessive as split_words writes it.

    A word that looks plural already (``headaches``) has none. ``classical`` adds Latin and Greek plurals (``vertebrae``);
    names of drugs and units have none.
    """
    if not word[-1:].isalpha() or (word.endswith("s") and not word.endswith(("ss", "us", "is"))):
        return ()
    found = {word + "s": None}
    if word in _IRREGULAR_PLURALS:
        found[_IRREGULAR_PLURALS[word]] = None
    elif word.endswith(_SIBILANTS):
        found[word + "es"] = None
    elif word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        found[word[:-1] + "ies"] = None
    if classical and len(word) >= _SHORTEST_CLASSICAL:
        found.update((word[: -len(one)] + many, None) for one, many in _CLASSICAL_ENDINGS if word.endswith(one))
    return tuple(found)
