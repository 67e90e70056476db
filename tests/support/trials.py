"""Two models on the same utterances, scored as an evaluation scores them."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

from medasr.gate import MEDICAL, SERVING, Trial
from medasr.lexicon import Lexicon, load_lexicon
from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.vocabulary import normalize_lexicon
from medasr.text.normalizers import text_normalizer
from medasr.verdict import Sound

SAID = (
    "I have had a terrible headache since last night and the light hurts my eyes",
    "she takes ibuprofen twice a day because of the pain in her lower back",
    "my knee is swollen and I can not bend it when I walk down the stairs",
    "the rash on my arm began after I took penicillin for an infection",
    "he has asthma and wakes up in the night with a cough and short breath",
    "I feel nausea in the morning and have vomited twice since yesterday",
)
QUIET = (Sound(name="silence", words=0), Sound(name="hum", words=0))


@functools.cache
def terms() -> Lexicon:
    """The lexicon in the normalizer's words."""
    return normalize_lexicon(load_lexicon(), text_normalizer("clinical-en"))


def said(number: int) -> list[str]:
    """So many references, each one different."""
    return [f"{SAID[index % len(SAID)]} on day {index}" for index in range(number)]


def scored(references: Sequence[str], hypotheses: Sequence[str], *, speakers: int = 6) -> tuple[ScoredUtterance, ...]:
    """What a model that wrote these hypotheses scored."""
    results = [
        score_utterance(
            id=f"{number:04}",
            speaker=f"s{number % speakers}" if speakers else None,
            seconds=5.0,
            reference=reference,
            hypothesis=hypothesis,
            normalizer=text_normalizer("clinical-en"),
            lexicon=terms(),
        )
        for number, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True))
    ]
    return tuple(one for one in results if isinstance(one, ScoredUtterance))


def misheard(
    references: Sequence[str], share: float, *, seed: int = 0, only: Sequence[str] = (), never: Sequence[str] = ()
) -> list[str]:
    """References with a share of their words replaced by another one: of ``only`` these words, of ``never`` those."""
    chance = random.Random(seed)
    return [
        " ".join(
            "blah" if (not only or word in only) and word not in never and chance.random() < share else word
            for word in reference.split()
        )
        for reference in references
    ]


def trial(
    before: Sequence[str],
    after: Sequence[str],
    references: Sequence[str],
    *,
    name: str = MEDICAL,
    against: str = SERVING,
    speakers: int = 6,
    **more: Any,
) -> Trial:
    """A trial of two models that wrote these texts."""
    sides = (scored(references, side, speakers=speakers) for side in (before, after))
    first, second = sides
    return Trial(name=name, against=against, dataset="made", before=first, after=second, **more)
