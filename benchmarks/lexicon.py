"""Finding terms is linear in the text, whatever the lexicon's size.

Prints milliseconds for 100 kB and 1 MB of text with 1,700 and 50,000 terms, and the ratios: ten times the text should take about
ten times as long, and thirty times the terms about as long. Also prints what loading the shipped lexicon takes.

    python -m benchmarks.lexicon
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from medasr import inflection, term_index
from medasr.lexicon import find, load_lexicon, make_lexicon
from medasr.lexicon_file import Term

SENTENCES = (
    "I have had this knee pain since last year and my stomach aches after I eat.",
    "The doctor gave me metformin five hundred milligrams twice a day, and then 20 mg of atorvastatin.",
    "On the other hand my husband says that I look tired and that I should rest more.",
    "She has high blood pressure, type 2 diabetes and a family history of heart disease.",
    "We will do an X-ray of the chest and a full blood count tomorrow morning at eight.",
)
SYLLABLES = ("zor", "blax", "um", "kri", "ve", "tol", "qua", "ny", "per", "ox", "sal", "fen", "tri", "mab", "il")


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


def milliseconds(function: Callable[[], object], repeats: int = 5) -> float:
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


def main() -> None:
    generator = random.Random(20)
    terms = invented(50_000, generator)
    shipped = list(load_lexicon().terms)
    lexicons = {1_700: make_lexicon(shipped[::2][:1_700]), 50_000: make_lexicon(shipped[::2][:1_700] + terms[:48_300])}
    short = consultation(100_000, terms, generator)
    long = consultation(1_000_000, terms, generator)
    figures: dict[tuple[int, int], float] = {}
    print(f"{'terms':>8} {'100 kB':>10} {'1 MB':>10} {'1 MB / 100 kB':>14}")
    for count, lexicon in lexicons.items():
        for text in (short, long):
            figures[count, len(text)] = milliseconds(lambda lexicon=lexicon, text=text: find(lexicon, text))  # type: ignore[misc]
        one, ten = figures[count, len(short)], figures[count, len(long)]
        print(f"{count:>8,} {one:>7.1f} ms {ten:>7.1f} ms {ten / one:>14.2f}")
    ratios = [figures[50_000, size] / figures[1_700, size] for size in (len(short), len(long))]
    print(f"{'ratio':>8} {ratios[0]:>10.2f} {ratios[1]:>10.2f}")
    print(f"load of the shipped {len(shipped):,} terms: {milliseconds(cold_load):.0f} ms")


if __name__ == "__main__":
    main()
