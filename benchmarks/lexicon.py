"""Finding terms is linear in the text, whatever the lexicon's size.

Ten times the text should take about ten times as long, and thirty times the terms about as long.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.figures import Line
from benchmarks.options import Options
from medasr.lexicon import find, inflection, load_lexicon, make_lexicon
from medasr.lexicon import index as term_index
from medasr.lexicon.file import Term

SENTENCES = (
    "I have had this knee pain since last year and my stomach aches after I eat.",
    "The doctor gave me metformin five hundred milligrams twice a day, and then 20 mg of atorvastatin.",
    "On the other hand my husband says that I look tired and that I should rest more.",
    "She has high blood pressure, type 2 diabetes and a family history of heart disease.",
    "We will do an X-ray of the chest and a full blood count tomorrow morning at eight.",
)
SYLLABLES = ("zor", "blax", "um", "kri", "ve", "tol", "qua", "ny", "per", "ox", "sal", "fen", "tri", "mab", "il")
#: Terms in the small and the large lexicon; characters in the short and the long text.
FEW, MANY = 1_650, 50_000
SHORT, LONG = 100_000, 1_000_000
#: Beyond ten and one: caches that a larger text or lexicon no longer fits.
TEN_TIMES_THE_TEXT = 15.0
MANY_TIMES_THE_TERMS = 2.0
LONG_TEXT_MANY_TERMS = 1_000.0  #: ms


@dataclass(frozen=True, kw_only=True)
class LexiconFigures:
    """Milliseconds of processor time, the quickest of some runs each."""

    find: Mapping[tuple[int, int], float]  #: by terms in the lexicon and characters of text
    shipped: int  #: terms in the shipped lexicon
    load: float

    def lines(self) -> list[Line]:
        return [
            *(
                Line(
                    what=f"{characters:,} characters, {terms:,} terms",
                    value=took,
                    unit="ms",
                    at_most=LONG_TEXT_MANY_TERMS if (terms, characters) == (MANY, LONG) else None,
                )
                for (terms, characters), took in self.find.items()
            ),
            *(
                Line(
                    what=f"ten times the text, {terms:,} terms",
                    value=self.find[terms, LONG] / self.find[terms, SHORT],
                    unit="times as long",
                    at_most=TEN_TIMES_THE_TEXT,
                )
                for terms in (FEW, MANY)
            ),
            Line(
                what=f"{MANY // FEW} times the terms",
                value=self.find[MANY, LONG] / self.find[FEW, LONG],
                unit="times as long",
                at_most=MANY_TIMES_THE_TERMS,
            ),
            Line(what=f"loading the shipped {self.shipped:,} terms", value=self.load, unit="ms"),
        ]


def invented(count: int, generator: random.Random) -> list[Term]:
    names: set[str] = set()
    while len(names) < count:
        words = generator.choice((1, 1, 2, 3))
        names.add(" ".join("".join(generator.choices(SYLLABLES, k=4)) for _ in range(words)))
    return [Term(term=name, category="drug") for name in sorted(names)]


def consultation(size: int, terms: list[Term], generator: random.Random) -> str:
    """Write ``size`` characters in which about every fourth sentence names one of ``terms``."""
    pieces: list[str] = []
    written = 0
    while written < size:
        sentence = generator.choice(SENTENCES)
        if generator.random() < 0.25:
            sentence += f" She also takes {generator.choice(terms).term}."
        pieces.append(sentence)
        written += len(sentence) + 1
    return " ".join(pieces)[:size]


def milliseconds(function: Callable[[], object], repeats: int) -> float:
    """Processor time of the quickest of some runs."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times) * 1000


def cold_load() -> None:
    inflection.spellings.cache_clear()
    term_index._noun_choices.cache_clear()
    load_lexicon()


def measure(options: Options) -> LexiconFigures:
    generator = random.Random(20)
    terms = invented(50_000, generator)
    shipped = list(load_lexicon().terms)
    few = shipped[::2][:FEW]  # of every category
    lexicons = {FEW: make_lexicon(few), MANY: make_lexicon(few + terms[: MANY - FEW])}
    texts = [consultation(size, terms, generator) for size in (SHORT, LONG)]
    repeats = options.pick(5, 2)
    found = {
        (count, len(text)): milliseconds(partial(find, lexicon, text), repeats)
        for count, lexicon in lexicons.items()
        for text in texts
    }
    return LexiconFigures(find=found, shipped=len(shipped), load=milliseconds(cold_load, repeats))
