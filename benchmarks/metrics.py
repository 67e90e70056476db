"""Scoring thousands of utterances with intervals, as an evaluation of the whole medical dataset does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import Line, Spread, tell
from benchmarks.lexicon import SENTENCES
from benchmarks.options import Options
from benchmarks.turns import seconds_of
from medasr.lexicon import load_lexicon
from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.metrics.vocabulary import normalize_lexicon
from medasr.text.normalizers import text_normalizer

UTTERANCES = 6_000
SPEAKERS = 124
SAMPLES = 1_000  #: of the bootstrap
LIMIT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class MetricsFigures:
    """Seconds for all utterances, round by round."""

    utterances: int
    whole: Spread

    def lines(self) -> list[Line]:
        return [
            Line(what="utterances", value=self.utterances),
            Line(
                what=f"normalize, align, find terms, {SAMPLES:,} resamples",
                value=self.whole,
                unit="s",
                at_most=LIMIT_SECONDS,
            ),
        ]


def measure(options: Options) -> MetricsFigures:
    count = options.pick(UTTERANCES, 200)
    pairs = _pairs(count)
    taken = []
    for number in range(options.pick(3, 1)):
        tell(f"metrics: round {number + 1}")
        taken.append(seconds_of(lambda: _score(pairs)))
    return MetricsFigures(utterances=count, whole=Spread(values=tuple(taken)))


def _score(pairs: Sequence[tuple[str, str]]) -> None:
    normalizer = text_normalizer("clinical-en")
    lexicon = normalize_lexicon(load_lexicon(()), normalizer)
    scored = [
        score_utterance(
            id=str(number),
            speaker=str(number % SPEAKERS),
            seconds=4.0,
            reference=reference,
            hypothesis=hypothesis,
            normalizer=normalizer,
            lexicon=lexicon,
        )
        for number, (reference, hypothesis) in enumerate(pairs)
    ]
    summarize([one for one in scored if isinstance(one, ScoredUtterance)], samples=SAMPLES)


def _pairs(count: int) -> list[tuple[str, str]]:
    """References with hypotheses in which every tenth word is another."""
    chance = random.Random(0)
    words = " ".join(SENTENCES).split()
    made = []
    for number in range(count):
        reference = SENTENCES[number % len(SENTENCES)]
        heard = (word if chance.random() > 0.1 else chance.choice(words) for word in reference.split())
        made.append((reference, " ".join(heard)))
    return made
