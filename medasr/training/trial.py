"""How an adapter does on validation, and which of several is taken: by what it writes, never by its loss.

A loss goes on falling long after the words become worse (see docs/training.md). So every trial decodes, as the adapter will serve.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from medasr.metrics.scores import ScoredUtterance
from medasr.metrics.scoring import score_utterance
from medasr.metrics.summary import summarize
from medasr.metrics.vocabulary import normalize_lexicon

if TYPE_CHECKING:
    from medasr.lexicon import Lexicon
    from medasr.text.normalizers import TextNormalizer
    from medasr.training.examples import Example
    from medasr.whisper.transcriber import Transcriber

#: A point of MTA is worth so many points of normalized word error rate.
TERM_WORTH = 0.25
#: Points that a trial may lose on other speech, or of term precision, before it costs.
GENERAL_MARGIN = 0.5
PRECISION_MARGIN = 1.0
#: Costs this near to each other are equal.
NOISE = 0.5
#: What each point beyond a margin costs.
_PENALTY = 5.0


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What trials are held against."""

    examples: Sequence[Example]  #: of the dataset; phrases and, where there are enough, speakers that nobody trains on
    general: Sequence[Example] = ()  #: other speech with its text
    normalizer: TextNormalizer
    lexicon: Lexicon
    batch_size: int = 8


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a model wrote on validation, in percent; None where nothing could be counted."""

    wer: float | None = None
    normalized_wer: float | None = None
    cer: float | None = None
    normalized_cer: float | None = None
    mta: float | None = None
    term_precision: float | None = None
    general_wer: float | None = None  #: normalized, on other speech
    utterances: int = 0
    terms: int = 0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An adapter after some epoch, mixed with the base."""

    epoch: int  #: 1, 2 ...
    interpolation: float  #: 1 is the adapter as trained, 0 the base
    figures: Figures = field(default_factory=Figures)


def measure(
    transcriber: Transcriber, validation: Validation, progress: Callable[[int, int], None] | None = None
) -> Figures:
    """Transcribe validation with a model and score it."""
    total = len(validation.examples) + len(validation.general)
    done = 0
    scored: list[list[ScoredUtterance]] = [[], []]
    lexicon = normalize_lexicon(validation.lexicon, validation.normalizer)
    for place, examples in enumerate((validation.examples, validation.general)):
        ordered = sorted(examples, key=lambda one: (one.seconds, one.id))
        for first in range(0, len(ordered), validation.batch_size):
            part = ordered[first : first + validation.batch_size]
            hypotheses = transcriber.transcribe([one.waveform() for one in part])
            for example, hypothesis in zip(part, hypotheses, strict=True):
                outcome = score_utterance(
                    id=example.id,
                    speaker=None,
                    seconds=example.seconds,
                    reference=example.text,
                    hypothesis=hypothesis.text,
                    normalizer=validation.normalizer,
                    lexicon=lexicon,
                )
                if isinstance(outcome, ScoredUtterance):
                    scored[place].append(outcome)
            done += len(part)
            if progress:
                progress(done, total)
    return _figures(*scored)


def choose(base: Figures, trials: Sequence[Trial]) -> Trial:
    """The trial to take: the one with the lowest :func:`cost`, unless others are as good within the noise.

    Of those the latest, and the one nearest to the adapter as it is: a few hundred words of validation tell apart only what is far apart,
    and what was learned to the end did best on speakers and phrases that were not validated either.
    """
    limit = min(cost(base, trial.figures) for trial in trials) + NOISE
    equals = [trial for trial in trials if cost(base, trial.figures) <= limit]
    return min(equals, key=lambda trial: (-trial.epoch, abs(trial.interpolation - 1.0), cost(base, trial.figures)))


def best_epoch(base: Figures, trials: Sequence[Trial]) -> int:
    """The epoch since which nothing better came."""
    return min(trials, key=lambda trial: (round(cost(base, trial.figures), 6), trial.epoch)).epoch


def cost(base: Figures, figures: Figures) -> float:
    """What is made small: normalized WER, less what MTA is worth, and more for what is lost beyond the margins."""
    total = math.inf if figures.normalized_wer is None else figures.normalized_wer
    if figures.mta is not None:
        total -= TERM_WORTH * figures.mta
    total += _PENALTY * _loss(figures.general_wer, base.general_wer, GENERAL_MARGIN)
    return total + _PENALTY * _loss(base.term_precision, figures.term_precision, PRECISION_MARGIN)


def _loss(higher: float | None, lower: float | None, margin: float) -> float:
    return 0.0 if higher is None or lower is None else max(0.0, higher - lower - margin)


def _figures(scored: Sequence[ScoredUtterance], general: Sequence[ScoredUtterance]) -> Figures:
    general_wer = summarize(general, samples=1).normalized_wer.value if general else None
    if not scored:
        return Figures(general_wer=general_wer)
    scores = summarize(scored, samples=1)
    return Figures(
        wer=scores.wer.value,
        normalized_wer=scores.normalized_wer.value,
        cer=scores.cer.value,
        normalized_cer=scores.normalized_cer.value,
        mta=scores.mta.value,
        term_precision=scores.term_precision.value,
        general_wer=general_wer,
        utterances=scores.n_utterances,
        terms=scores.n_terms,
    )
