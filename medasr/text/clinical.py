"""What counts as the same clinical text: the rules of clinical-en.

They start from those of Whisper's English normalizer (Radford et al. 2022, https://arxiv.org/abs/2212.04356, appendix C), of which
numbers and spellings are used, without what does harm in a clinic: there "oh" is the number 0, the unit "mm" a hesitation, "ST" a
saint, and what stands in parentheses is not counted at all. Units and doses have one form, and nothing that carries meaning falls
away: no negation, no number, no unit. The reasons by example: docs/text.md.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from medasr.text.clinical_words import SPELLINGS, UNITS, WORDS

#: Words that the rules for numbers would swallow or take for a number ("lost 20 pounds" → £20, "oh" → 0), the words that stand for
#: them meanwhile, unknown to those rules, and what is written in the end.
_HIDDEN = {
    "oh": ("ohzz", "oh"),
    "pound": ("poundzz", "lb"),
    "pounds": ("poundzz", "lb"),
    "lbs": ("poundzz", "lb"),
    "dollar": ("dollarzz", "dollars"),
    "dollars": ("dollarzz", "dollars"),
    "euro": ("eurozz", "euros"),
    "euros": ("eurozz", "euros"),
    "cent": ("centzz", "cents"),
    "cents": ("centzz", "cents"),
    "pence": ("pencezz", "pence"),
}
#: Ends a number before another one; falls away in the end.
_BREAK = "breakzz"
_SHOWN = dict(_HIDDEN.values()) | {_BREAK: ""}
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros"}

_CONTRACTIONS = (
    (r"\bwon't\b", "will not"),
    (r"\bcan(?:'t| not)\b", "cannot"),
    (r"\blet's\b", "let us"),
    (r"\bshan't\b", "shall not"),
    (r"\bcant\b", "cannot"),  # people who type leave the apostrophe out
    (r"\bwont\b", "will not"),
    (r"\b(do|does|did|is|was|are|were|have|has|had|could|would|should)nt\b", r"\1 not"),
    (r"\bive\b", "i have"),
    (r"'s (?=(?:been|had|got)\b)", " has "),
    (r"'d (?=(?:been|had|got|better)\b)", " had "),
    (r"n't\b", " not"),
    (r"'re\b", " are"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
    (r"\bi'm\b", "i am"),
    (r"'d\b", " would"),
    # Elsewhere 's is a possessive: the mother's knee is no "mother is knee".
    (r"\b(it|he|she|that|what|there|here|where|who|how)'s\b", r"\1 is"),
)
_ROMANS = {
    name: str(value)
    for value, name in enumerate(("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"), start=1)
}
#: A single letter is a number in capitals only, and "the type I have" is none.
_ROMAN = re.compile(
    r"\b((?i:types?|stage|grade|class|phase|factor|nerve)) "
    r"((?i:ii|iii|iv|vi|vii|viii|ix|xi|xii)|V|X|I(?!['’]| (?:have|had|am|was|take|get)\b))\b"
)
_DIGITS = "one|two|three|four|five|six|seven|eight|nine"
_COUNT_AND_DOSE = re.compile(
    rf"\b({_DIGITS}) (?=(?:{_DIGITS}) "
    r"(?:mg|milligrams?|mcg|micrograms?|g|grams?|ml|millilit(?:er|re)s?) (?:tablets?|capsules?|pills?|doses?|puffs?)\b)"
)
_TENS = {"twenty": 2, "thirty": 3}
_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd"}
_COMPARISONS = {"<": "less than", ">": "more than", "≤": "at most", "≥": "at least"}
#: Words in which nothing is a number to be written: letters and digits together, unless they are a dose, and some words.
_NAMES = re.compile(
    r"(?<!\S)((?!\d+(?:\.\d+)?(?:mg|mcg|μg|ug|g|kg|ml|l|dl|mm|cm|mmhg|bpm|c|f|s|st|nd|rd|th)\b)"
    r"(?=\S*\d)(?=\S*[^\W\d_])[\w.]+|tens|first|second|third)(?!\S)"
)
_FILLERS = re.compile(r"\b(?:h+m+|mhm|uh+|u+m+|erm)\b")


def normalize_clinical(text: str) -> str:
    """Give the form in which two texts are compared: lower-case words and numbers with one space between them.

    Any text is accepted; the result may be empty. Normalizing twice changes nothing more.
    """
    before, normalized = "", text
    # One rule can make way for another ("kilo gram"), so they are applied until nothing changes; real texts need one pass.
    for _ in range(8):
        if normalized == before:
            break
        before, normalized = normalized, _pass(normalized)
    return normalized


def _pass(text: str) -> str:
    text = _plain(_write_out(text))
    for pattern, replacement in _CONTRACTIONS:
        text = re.sub(pattern, replacement, text)
    text = text.replace("'", "")
    text = _FILLERS.sub(" ", text)
    text = _signs(text)
    text = " ".join(_HIDDEN[word][0] if word in _HIDDEN else WORDS.get(word, word) for word in text.split())
    text = _write_numbers(text)
    text = _separate(text)
    words = (_SHOWN[word] if word in _SHOWN else _spell(word) for word in _join_letters(text))
    return " ".join(word for word in words if word)


def _write_out(text: str) -> str:
    """Keep apart what would fall together when characters are composed: 2½ is 2.5, not 21/2; 10⁹ is not 109."""
    text = _ROMAN.sub(lambda match: f"{match[1]} {_ROMANS[match[2].lower()]}", text)
    if text.isascii() and "<" not in text and ">" not in text:
        return text
    for sign, decimals, word in (("½", ".5", "half"), ("¼", ".25", "quarter"), ("¾", ".75", "three quarters")):
        text = re.sub(rf"(?<=\d) ?{sign}", decimals, text).replace(sign, f" {word} ")
    text = re.sub("(?<=\\d)(?=[⅐-⅞⁰¹²³⁴-⁹])", " ", text)
    return re.sub("[<>≤≥](?=\\s*=?\\s*\\d)", lambda match: f" {_COMPARISONS[match[0]]} ", text)


def _plain(text: str) -> str:
    """Fold case, composed characters, accents, apostrophes and digits of other scripts."""
    text = unicodedata.normalize("NFKC", text).lower().replace("µ", "μ").replace("⁄", "/").replace("°", " degrees ")
    text = re.sub("(?<=\\d)['’′](?=\\d)", " ", text)  # 6'2"
    text = re.sub("[’‘`´ʼ]", "'", text)
    text = re.sub(r"\s+'", "'", text)
    if text.isascii() and text.isprintable():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    kept = (
        character
        for character in decomposed
        if unicodedata.category(character) not in ("Mn", "Cc", "Cf") or character.isspace()
    )
    return "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in kept)


def _signs(text: str) -> str:
    """Write out the signs that mean something and drop the others; a full stop stays within a number only."""
    text = re.sub(r"\b((?:[a-z]\.){2,})", lambda match: match[1].replace(".", "") + " ", text)  # e.c.g.
    text = re.sub(r"\b(\d{1,2})[:.](\d{2})(?= ?[ap]m\b)", r"\1\2 ", text)  # 7:30 pm, as "seven thirty" becomes 730
    text = re.sub(r"\b(at|by|until|till|around|about|since|before|after|from) (\d{1,2}):([0-5]\d)\b", r"\1 \2\3", text)
    text = re.sub(r"(?<=\d)x(?= (?:a|per) )", " times", text)  # 3x a day
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)  # 1,000
    text = re.sub(r"(?<=\d)\s*/\s*(?=\d)", " over ", text)  # 120/80
    text = re.sub(r"(?<=[a-zμ])/(?=(?:kg|ml|l|dl|m2|h|hr|week|day|hour|min|minute)\b)", " per ", text)  # mg/kg
    text = re.sub(r"(?<![\d.])(\d+(?:\.\d+)?)\s*[-\u2010-\u2014]\s*(\d+(?:\.\d+)?)(?![\d.]*\d)", _range, text)
    text = re.sub(r"(?<![^\s(])[-\u2212](?=\d)", "minus ", text)
    text = re.sub(r"(?<!\d)\.(?=\d)", " 0.", text)
    text = re.sub(r"\.(?!\d)", " ", text)
    text = re.sub(
        r"([$£€])\s*(\d[\d.]*(?: (?:thousand|million|billion)\b)?)",
        lambda match: f" {match[2]} {_CURRENCIES[match[1]]} ",
        text,
    )
    text = text.replace("%", " percent ").replace("&", " and ").replace("+", " plus ")
    text = re.sub(r"\bper cent\b", "percent", text)
    return re.sub(r"[^\w\s.]|_", " ", text)


def _range(match: re.Match[str]) -> str:
    """5-10 is a range; 19-9, which falls, is a name (CA 19-9)."""
    joint = " to " if float(match[1]) < float(match[2]) else " "
    return match[1] + joint + match[2]


def _write_numbers(text: str) -> str:
    """Write numbers as digits, but none in a name: Whisper's rules make "hba one c" of HbA1c and "1st aid" of first aid."""
    text = re.sub(r"(?<!\bhalf )\ba (?=(?:hundred|thousand|million)\b)", "one ", text)
    text = re.sub(
        r"\b(twenty|thirty) (first|third|second(?= of\b))\b",
        lambda match: f"{_TENS[match[1]]}{_ORDINALS[match[2]]}",
        text,
    )
    text = _COUNT_AND_DOSE.sub(rf"\1 {_BREAK} ", text)
    pieces = _NAMES.split(text)
    return " ".join(piece if number % 2 else _numbers()(piece) for number, piece in enumerate(pieces) if piece.strip())


@cache
def _numbers() -> Any:
    """Whisper's rules for spoken numbers: "zero point five" → 0.5."""
    from whisper_normalizer.english import EnglishNumberNormalizer

    numbers = EnglishNumberNormalizer()
    # Its last step writes 1 as "one", and 1.5 as "one.5", 0.1 as "0.one".
    numbers.postprocess = lambda text: text
    return numbers


@cache
def _american() -> Any:
    from whisper_normalizer.english import EnglishSpellingNormalizer

    return EnglishSpellingNormalizer()


def _separate(text: str) -> str:
    """A number and its unit are two words, however they were written; a number has one form."""
    text = text.replace("%", " percent ")
    text = re.sub(r"(?<!\S)-(?=\d)", "minus ", text)  # the rules for numbers made signs of the words
    text = re.sub(r"(?<!\S)\+(?=\d)", "plus ", text)
    text = re.sub(r"(?<!\S)\.(?=\d)", "0.", text)
    text = re.sub(r"(\d+\.\d*?)0+\b", r"\1", text)  # 5.0
    text = re.sub(r"\.(?!\d)", " ", text)
    text = re.sub(r"[^\w\s.]", " ", text)
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)(mg|mcg|μg|ug|g|kg|ml|l|dl|mm|cm|mmhg|bpm|c|f)\b", r"\1 \2", text)
    text = re.sub(r"(?<=\d )grams?\b", "g", text)  # elsewhere it may be a name: Gram stain
    text = re.sub(r"\b(?:mm hg|millimet(?:er|re)s of mercury)\b", "mmhg", text)
    text = re.sub(r"\binternational units?\b", "iu", text)
    text = re.sub(r"\bbeats (?:per|a) minute\b", "bpm", text)
    return re.sub(r"(?<!\d )\bmm+\b(?! ?hg)", " ", text)  # a unit behind a number, a hesitation elsewhere


def _join_letters(text: str) -> list[str]:
    """Join what was spelled out (E C G). "a" and "i" are words, unless three or more letters stand together."""
    words: list[str] = []
    letters: list[str] = []
    for word in [*text.split(), ""]:
        if len(word) == 1 and "a" <= word <= "z" and not (words and not letters and words[-1][-1].isdigit()):
            letters.append(word)
            continue
        spelled = len(letters) >= 3 or (len(letters) == 2 and not {"a", "i"} & set(letters))
        words += ["".join(letters)] if spelled else letters
        letters = []
        if word:
            words.append(word)
    return words


@lru_cache(maxsize=16_384)
def _spell(word: str) -> str:
    """American spelling, and one symbol for each unit."""
    for british, american in SPELLINGS:
        word = word.replace(british, american)
    word = "disc" if word == "disk" else _american()(word).replace("disk", "disc")  # anatomy is written disc
    return UNITS.get(word) or (UNITS.get(word[:-1]) if word.endswith("s") else None) or word
