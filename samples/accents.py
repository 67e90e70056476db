"""English as people say it whose first language is another: rules that replace sounds.

What is replaced by what follows the descriptions of learners' English by first language (Swan and Smith, Learner English, 2nd ed. 2001; Wells,
Accents of English 3, 1982). The notation is the IPA that espeak-ng writes for American English. A speaker keeps some of the rules of an
accent, and applies them more or less often, as people do: neither any first language nor any person is meant to be imitated, only
heard in more than one way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

#: Which part of an accent's rules a speaker has.
KEPT = 0.75
#: How often a rule is applied where it could be, times its own share.
STRENGTH = (0.3, 1.0)


@dataclass(frozen=True)
class Rule:
    """A sound and what becomes of it."""

    sound: re.Pattern[str]
    becomes: str
    share: float  #: of its occurrences, at full strength


def _rules(*rows: tuple[str, str, float]) -> tuple[Rule, ...]:
    return tuple(Rule(re.compile(sound), becomes, share) for sound, becomes, share in rows)


_END = "( |$)"

ACCENTS = {
    "south-asian": _rules(
        ("w", "v", 0.6), ("v", "w", 0.35), ("θ", "t", 0.9), ("ð", "d", 0.9), ("z", "s", 0.25), ("ɹ", "ɾ", 0.6), ("æ", "ɛ", 0.5),
        ("eɪ", "ɛ", 0.4), ("oʊ", "ɔː", 0.35), ("ʌ", "ɑː", 0.35), ("ɪ", "iː", 0.25), ("ʒ", "dʒ", 0.8), ("ɚ", "əɾ", 0.6), ("ɜː", "ɛɹ", 0.4),
        ("f", "p", 0.08),
    ),
    "arabic": _rules(
        ("p", "b", 0.6), ("v", "f", 0.5), ("ɪ", "ɛ", 0.3), ("ʌ", "ɑː", 0.5), ("tʃ", "ʃ", 0.4), ("eɪ", "ɛ", 0.5), ("oʊ", "uː", 0.25),
        ("oʊ", "ɔː", 0.5), ("ʊ", "uː", 0.5), ("ɹ", "ɾ", 0.6), ("ð", "z", 0.5), ("θ", "s", 0.5), ("s([ptk])", r"sɪ\1", 0.3), ("ŋ", "ŋɡ", 0.3),
        ("æ", "ɛ", 0.3), ("ɛ", "ɪ", 0.3),
    ),
    "spanish": _rules(
        ("v", "b", 0.7), ("z", "s", 0.8), ("ʃ", "tʃ", 0.5), ("dʒ", "j", 0.3), ("ɪ", "iː", 0.6), ("æ", "ɑː", 0.6), ("ʌ", "ɑː", 0.6),
        ("ʊ", "uː", 0.6), ("(^| )s([ptkmnl])", r"\1ɛs\2", 0.7), ("m" + _END, r"n\1", 0.4), ("θ", "s", 0.6), ("ð", "d", 0.8), ("h", "", 0.3),
        ("ŋ", "n", 0.4), ("ɹ", "ɾ", 0.6), ("ɜː", "ɛɹ", 0.5), ("[td]" + _END, r"\1", 0.2),
    ),
    "east-asian": _rules(
        ("l", "ɹ", 0.35), ("ɹ", "l", 0.35), ("θ", "s", 0.8), ("ð", "z", 0.5), ("ð", "d", 0.5), ("v", "w", 0.4), ("v", "b", 0.3),
        ("[tdkpbɡ]" + _END, r"\1", 0.35), ("ɪ", "iː", 0.4), ("æ", "ɛ", 0.6), ("iː", "ɪ", 0.25), ("ʌ", "ɑː", 0.5), ("s(?=[iɪ])", "ʃ", 0.3),
        ("ɚ", "ə", 0.7), ("ɜːɹ?", "ɑː", 0.4), ("([tdkpbɡs])" + _END, r"\1ə\2", 0.2),
    ),
    "south-east-asian": _rules(
        ("f", "p", 0.5), ("v", "b", 0.6), ("θ", "t", 0.8), ("ð", "d", 0.8), ("z", "s", 0.7), ("æ", "ɑː", 0.5), ("ɪ", "iː", 0.4), ("ʌ", "ɑː", 0.5),
        ("ʒ", "ʃ", 0.6), ("ɹ", "ɾ", 0.5), ("eɪ", "ɛ", 0.4), ("oʊ", "ɔː", 0.5), ("[td]" + _END, r"\1", 0.2), ("ʊ", "uː", 0.5),
    ),
    "slavic": _rules(
        ("w", "v", 0.6), ("ð", "z", 0.6), ("θ", "s", 0.6), ("d" + _END, r"t\1", 0.6), ("ɡ" + _END, r"k\1", 0.6), ("z" + _END, r"s\1", 0.6),
        ("v" + _END, r"f\1", 0.6), ("æ", "ɛ", 0.6), ("ʌ", "ɑː", 0.5), ("ɪ", "iː", 0.4), ("oʊ", "ɔː", 0.6), ("ŋ", "nk", 0.3), ("ɹ", "ɾ", 0.5),
        ("ɜː", "ɛɹ", 0.4),
    ),
    "west-african": _rules(
        ("ɜːɹ?", "ɔː", 0.5), ("ɜːɹ?", "ɛ", 0.4), ("ɪ", "iː", 0.6), ("ʊ", "uː", 0.6), ("ʌ", "ɔː", 0.6), ("ð", "d", 0.8), ("θ", "t", 0.8),
        ("ɚ", "ɑː", 0.8), ("æ", "ɑː", 0.6), ("oʊ", "ɔː", 0.6), ("[td]" + _END, r"\1", 0.2), ("v", "f", 0.2),
    ),
    "french": _rules(
        ("h", "", 0.5), ("ɪ", "iː", 0.6), ("θ", "s", 0.7), ("ð", "z", 0.8), ("ŋ", "n", 0.3), ("æ", "ɑː", 0.6), ("ʌ", "ɔː", 0.4),
        ("oʊ", "ɔː", 0.5), ("eɪ", "ɛ", 0.6), ("tʃ", "ʃ", 0.4), ("dʒ", "ʒ", 0.4), ("s" + _END, r"\1", 0.15),
    ),
}  # fmt: skip


def accent(phonemes: str, name: str, rng: Random) -> str:
    """Phonemes as a speaker of the accent ``name`` says them; another speaker each time."""
    strength = rng.uniform(*STRENGTH)
    rules = [rule for rule in ACCENTS[name] if rng.random() < KEPT]
    spoken, position = [], 0
    while position < len(phonemes):
        said, length = _say(phonemes, position, rules, strength, rng)
        spoken.append(said)
        position += length
    return "".join(spoken)


def _say(phonemes: str, position: int, rules: list[Rule], strength: float, rng: Random) -> tuple[str, int]:
    """What is said for the sound at a position, and how much of the phonemes it was; a sound that was replaced is not replaced again."""
    second_of_diphthong = position and phonemes[position] in "ɪʊ" and phonemes[position - 1] in "aeɔo"
    for rule in () if second_of_diphthong else rules:
        found = rule.sound.match(phonemes, position)
        if found and found.end() > position and rng.random() < rule.share * strength:
            return found.expand(rule.becomes), found.end() - position
    return phonemes[position], 1
