"""A setting of the model, which ones are worth trying, and which of those that were measured is to serve. Nothing is measured here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Literal

from daemon.sections import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Batches that are tried where the configuration leaves the choice.
BATCH_SIZES = (8, 16, 32)
DEFAULT_BATCH_SIZE: int = Model.model_fields["batch_size"].default
#: Points by which the word error rate may be higher than that of fp32.
LARGEST_LOSS = 0.5
#: What is faster by less than this is not worth a change, nor is it known to be faster.
LEAST_RATIO = 1.05

Precision = Literal["nf4", "bf16", "fp16", "fp32"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What decides how fast a model is and not what it means to write."""

    precision: Precision
    batch_size: int  #: windows decoded together
    threads: int  #: for arithmetic on the CPU; 0 for one per core


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the configuration says: ``auto``, 0 threads and the default batch leave the choice."""

    precision: Literal["auto", "nf4", "bf16", "fp16", "fp32"]
    batch_size: int
    threads: int
    device: Literal["auto", "cuda", "cpu"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a setting was measured to be."""

    setting: Setting
    seconds: float | None  #: for all recordings, median of the rounds; None where it did not run
    ratio: float | None  #: times as fast as the untuned setting, median of the rounds
    word_error_rate: float | None  #: of what it wrote, in percent
    other_words: float | None  #: words that fp32 wrote otherwise, in percent
    rejected: str = ""  #: why it cannot serve, in words


def wishes_of(model: Model) -> Wishes:
    """What a configuration leaves to choose and what it does not."""
    return Wishes(precision=model.precision, batch_size=model.batch_size, threads=model.threads, device=model.device)


def precisions_to_try(wishes: Wishes, untuned: Setting, worthwhile: Sequence[Precision]) -> list[Setting]:
    """The untuned setting in the other precisions that are worthwhile on the device, if the configuration leaves that open."""
    chosen = worthwhile if wishes.precision == "auto" else ()
    return [replace(untuned, precision=one) for one in chosen if one != untuned.precision]


def batches_to_try(wishes: Wishes, fastest: Setting, largest: int) -> list[Setting]:
    """The fastest setting so far with other batches of at most so many windows, if the configuration leaves that open."""
    if wishes.batch_size != DEFAULT_BATCH_SIZE:
        return []
    return [replace(fastest, batch_size=size) for size in BATCH_SIZES if size != fastest.batch_size and size <= largest]


def threads_to_try(wishes: Wishes, fastest: Setting, cores: int) -> list[Setting]:
    """The fastest setting so far on half of the cores, if the configuration leaves that open and there are several."""
    return [replace(fastest, threads=cores // 2)] if wishes.threads == 0 and cores > 1 else []


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How well a setting writes."""

    word_error_rate: float  #: in percent
    exact: float  #: that of fp32
    other_words: float  #: words that fp32 wrote otherwise, in percent


def judged(setting: Setting, seconds: Sequence[float], ratios: Sequence[float], accuracy: Accuracy) -> Outcome:
    """The outcome of a setting that ran, from its rounds; rejected where it writes worse than fp32."""
    loss = accuracy.word_error_rate - accuracy.exact
    return Outcome(
        setting=setting,
        seconds=median(seconds),
        ratio=median(ratios),
        word_error_rate=accuracy.word_error_rate,
        other_words=accuracy.other_words,
        rejected=f"writes worse than fp32, by {loss:.1f} points" if loss > LARGEST_LOSS else "",
    )


def choose(outcomes: Sequence[Outcome], untuned: Setting) -> Outcome:
    """The fastest that may serve; the untuned one where that may, and none is faster by a margin that means something.

    Raise ValueError where none may serve.
    """
    able = [(one.ratio, one) for one in outcomes if one.ratio is not None and not one.rejected]
    ratio, best = max(able, key=lambda pair: pair[0])
    if ratio < LEAST_RATIO:
        return next((one for _, one in able if one.setting == untuned), best)
    return best
