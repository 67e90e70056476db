"""The gate: a candidate replaces what serves only if it is better where it was trained for and not worse anywhere else.

Pure arithmetic over what both models wrote for the same utterances; a tie keeps the old model, and what cannot be counted speaks
against the new one. What is asked and why: docs/gate.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from medasr.bounds import deleted_share, length_ratio, looping_share
from medasr.metrics.bootstrap import rates, resample
from medasr.metrics.comparison import compare_together
from medasr.metrics.scores import HEADLINE, HIGHER_IS_BETTER, TermOutcomeKind
from medasr.verdict import (
    ChangedCounts,
    Check,
    CheckName,
    Decision,
    Figure,
    GateOptions,
    GateVerdict,
    Sound,
    TrialResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from medasr.metrics.comparison import Comparison, Difference
    from medasr.metrics.scores import ScoredUtterance

MEDICAL, GENERAL = "medical", "general"
#: What a trial is against.
SERVING, BASE = "serving", "base"
#: Metrics a verdict shows.
_SHOWN = (*HEADLINE, "drug_mta", "macro_mta")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What two models wrote for one set."""

    name: str  #: MEDICAL or GENERAL
    against: str  #: SERVING or BASE
    dataset: str  #: for people
    before: tuple[ScoredUtterance, ...]
    after: tuple[ScoredUtterance, ...]  #: of the candidate
    left_out: int = 0  #: utterances that the other model has learned from; they are in neither
    evaluations: tuple[int, int] | None = None  #: numbers, of the other and of the candidate


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A trial with its utterances that both transcribed."""

    trial: Trial
    comparison: Comparison
    before: tuple[ScoredUtterance, ...]
    after: tuple[ScoredUtterance, ...]
    result: TrialResult


def judge(
    trials: Sequence[Trial],
    sounds: Sequence[Sound],
    options: GateOptions,
    *,
    heard: int = 0,
    identical: bool = False,
    notes: Sequence[str] = (),
) -> GateVerdict:
    """Judge a candidate.

    Args:
        trials: what it and another model wrote; one on medical speech decides, those on general speech may refuse.
        sounds: how many words it and what serves wrote where nobody speaks.
        options: how strict to be.
        heard: utterances that the candidate is measured on and should not have learned from, and did.
        identical: whether it is the very model that serves.
        notes: circumstances to keep with the verdict.

    Returns:
        PROMOTE if every check passes, else REJECT.

    Raises:
        NotComparable: when the two models of a trial were held against different references.
    """
    checks = [*_admission(heard=heard, identical=identical)]
    results = []
    if not identical and not heard:
        for trial in trials:
            held = _hold(trial)
            checks += _complete(trial)
            checks += _size(trial, held, options) if trial.name == MEDICAL else ()
            if held is not None:
                results.append(held.result)
                checks += _medical(held, trials, options) if trial.name == MEDICAL else [_general(held, options)]
                if trial.name == MEDICAL or trial.against == SERVING:
                    checks += _bounds(held, options)
            elif trial.name == GENERAL:
                checks.append(_check(CheckName.GENERAL, _name(trial), False, "There is no general speech to compare."))
        if not any(trial.name == MEDICAL for trial in trials):
            checks.append(_check(CheckName.SIZE, "", False, "There is no medical speech to measure it on."))
        checks += _silence(sounds)
    decision = Decision.PROMOTE if all(check.passed for check in checks) else Decision.REJECT
    return GateVerdict(
        decision=decision,
        checks=tuple(checks),
        trials=tuple(results),
        sounds=tuple(sounds),
        options=options,
        notes=tuple(notes),
    )


def _hold(trial: Trial, beside: Sequence[Trial] = ()) -> _Held | None:
    """Compare the utterances of a trial, and of others beside it, that both transcribed; None where there is none."""
    parts = [part for one in (trial, *beside) if all(part := _common(one))]
    if not parts:
        return None
    comparison = compare_together(parts)
    before, after = (tuple(one for part in parts for one in part[side]) for side in (0, 1))
    whole = resample(after, 0, 0)
    values = [rates(scored, whole.membership, whole.weights) for scored in (before, after)]
    result = TrialResult(
        trial=trial.name,
        against=trial.against,
        dataset=trial.dataset,
        utterances=len(after),
        left_out=trial.left_out,
        terms=_terms_said(after),
        speakers=len({one.speaker for one in after} - {None}),
        hours=sum(one.seconds for one in after) / 3600,
        resampled=whole.drawn,
        evaluations=trial.evaluations,
        figures=tuple(
            _figure(comparison.differences[name], *(float(one[name][0]) for one in values)) for name in _SHOWN
        ),
        changed=tuple(
            ChangedCounts(id=one.first.id, more_errors=one.more_errors, fewer_terms=one.fewer_terms)
            for one in comparison.changed
        ),
    )
    return _Held(trial=trial, comparison=comparison, before=before, after=after, result=result)


def _everywhere(medical: _Held, trials: Sequence[Trial]) -> _Held:
    """A medical trial together with the one on general speech against the same model, if there is one.

    A term that nobody said does harm wherever it is written; and of the hundred terms that a small test set has, one is a point.
    """
    trial = medical.trial
    beside = [one for one in trials if one.name == GENERAL and one.against == trial.against and all(_common(one))]
    if not beside:
        return medical
    return _hold(replace(trial, name=f"{trial.name} and {GENERAL}"), beside) or medical


def _common(trial: Trial) -> tuple[tuple[ScoredUtterance, ...], tuple[ScoredUtterance, ...]]:
    """What the other and the candidate wrote for the utterances that both transcribed."""
    common = {one.id for one in trial.before} & {one.id for one in trial.after}
    before, after = (tuple(one for one in side if one.id in common) for side in (trial.before, trial.after))
    return before, after


def _figure(difference: Difference, before: float, after: float) -> Figure:
    return Figure(
        metric=difference.metric,
        before=None if math.isnan(before) else before,
        after=None if math.isnan(after) else after,
        difference=difference.points,
        probability_better=difference.probability_better,
    )


def _admission(*, heard: int, identical: bool) -> Iterator[Check]:
    """What has to be so before anything is compared."""
    detail = "It is the very model that serves." if identical else "It is another model than what serves."
    yield _check(CheckName.ANOTHER, "", not identical, detail)
    detail = f"Of what it is measured on it has learned from {_count(heard, 'utterance', 'utterances')}, by recording, phrase or speaker."
    yield _check(CheckName.UNHEARD, "", heard == 0, detail, heard, 0)


def _complete(trial: Trial) -> Iterator[Check]:
    missing = len({one.id for one in trial.before} - {one.id for one in trial.after})
    detail = f"It failed on {_count(missing, 'recording', 'recordings')} that {_who(trial)} transcribed."
    yield _check(CheckName.COMPLETE, _name(trial), missing == 0, detail, missing, 0)


def _size(trial: Trial, held: _Held | None, options: GateOptions) -> Iterator[Check]:
    utterances, terms = (held.result.utterances, held.result.terms) if held else (0, 0)
    passed = utterances >= options.min_utterances and terms >= options.min_terms
    detail = (
        f"{_count(utterances, 'utterance', 'utterances')} with {_count(terms, 'term', 'terms')} were compared; "
        f"{options.min_utterances} with {options.min_terms} are needed to tell."
    )
    yield _check(CheckName.SIZE, _name(trial), passed, detail, utterances, options.min_utterances)


def _medical(held: _Held, trials: Sequence[Trial], options: GateOptions) -> Iterator[Check]:
    """Better in normalized WER, not worse in terms; those that nobody said are counted on general speech too."""
    difference, told = held.comparison.differences["normalized_wer"], _told(held, "normalized_wer", "Normalized WER")
    points, probability = difference.points.value, difference.probability_better
    passed = points is not None and probability is not None and points < 0 and probability >= options.probability
    share = "–" if probability is None else f"{100 * probability:.1f} %"
    detail = f"{told}; better in {share} of the resamples, {100 * options.probability:g} % are asked for."
    yield _check(CheckName.WER, _name(held.trial), passed, detail, probability, options.probability)
    yield _not_worse(CheckName.MTA, held, "mta", "MTA", options.margin_mta, options.risk)
    everywhere = _everywhere(held, trials)
    yield _not_worse(
        CheckName.PRECISION, everywhere, "term_precision", "Term precision", options.margin_precision, options.risk
    )


def _general(held: _Held, options: GateOptions) -> Check:
    """Not worse on general speech; against the stock model half of the margin is allowed, since losses of versions would add up there."""
    margin = options.margin_general / 2 if held.trial.against == BASE else options.margin_general
    return _not_worse(CheckName.GENERAL, held, "normalized_wer", "Normalized WER", margin, options.risk)


def _not_worse(name: CheckName, held: _Held, metric: str, called: str, margin: float, risk: float) -> Check:
    """Whether a metric lost no more than its margin, by its own figure and, but for the risk, by what chance allows."""
    difference, figure = held.comparison.differences[metric], held.result.figure(metric)
    where, told = _name(held.trial), _told(held, metric, called)
    if figure is None or figure.after is None:
        return _check(name, where, False, f"{told}: nothing could be counted of the candidate.")
    points, worse = difference.points.value, difference.probability_worse_by(margin)
    if points is None or worse is None:
        return _check(name, where, True, f"{told}: {_who(held.trial)} has no figure to be held against.")
    loss = round(-points if metric in HIGHER_IS_BETTER else points, 9)
    detail = (
        f"{told}; by more than {margin:g} worse in {100 * worse:.1f} % of the resamples, {100 * risk:g} % are allowed."
    )
    return _check(name, where, loss <= margin and worse <= risk, detail, loss, margin)


def _bounds(held: _Held, options: GateOptions) -> Iterator[Check]:
    """What no candidate may do, however well it scores."""
    where, who = _name(held.trial), _who(held.trial)
    on = f"on {held.trial.name} speech"
    before, after = (looping_share(side) for side in (held.before, held.after))
    limit = before + options.max_repetition_rise
    detail = f"{after:.2f} % of its text {on} repeats itself, against {before:.2f} % of {who}; {limit:.2f} % may."
    yield _check(CheckName.REPETITION, where, after <= limit, detail, after, limit)
    before, after = (length_ratio(side) for side in (held.before, held.after))
    low, high = options.min_length_ratio, options.max_length_ratio
    passed = low <= after <= high or abs(after - 1) <= abs(before - 1)
    detail = (
        f"It wrote {after:.3f} words for each that was said {on}, {who} {before:.3f}; {low:g} to {high:g} are allowed."
    )
    yield _check(CheckName.LENGTH, where, passed, detail, after, low if after < 1 else high)
    before, after = (deleted_share(side) for side in (held.before, held.after))
    limit = before + options.max_deletion_rise
    detail = f"It passes over {after:.2f} of a hundred words {on}, {who} over {before:.2f}; {limit:.2f} are allowed."
    yield _check(CheckName.DELETIONS, where, after <= limit, detail, after, limit)


def _silence(sounds: Sequence[Sound]) -> Iterator[Check]:
    """Nothing may be written where nobody speaks; where the other model writes something too, no more than it."""
    loud = [sound for sound in sounds if sound.words]
    words, allowed = sum(sound.words for sound in sounds), sum(sound.words_before or 0 for sound in sounds)
    if not sounds:
        detail = "It was not measured where nobody speaks."
    elif loud:
        names = ", ".join(sound.name for sound in loud)
        detail = f"It wrote {_count(words, 'word', 'words')} where nobody speaks ({names}), what serves {allowed}."
    else:
        detail = f"It wrote nothing for {len(sounds)} recordings in which nobody speaks."
    yield _check(CheckName.SILENCE, "", bool(sounds) and words <= allowed, detail, words, allowed)


def _terms_said(scored: Sequence[ScoredUtterance]) -> int:
    return sum(term.kind is not TermOutcomeKind.INVENTED for one in scored for term in one.terms)


def _told(held: _Held, metric: str, called: str) -> str:
    """A metric of both with its difference, in words."""
    figure = held.result.figure(metric)
    subject = f"{called} on {held.trial.name} speech"
    if figure is None or figure.before is None or figure.after is None:
        return subject
    points = figure.difference
    span = f", 95 % interval {points.low:+.2f} to {points.high:+.2f}" if points.low is not None else ""
    return f"{subject} is {figure.after:.2f} against {figure.before:.2f} of {_who(held.trial)} ({points.value:+.2f} points{span})"


def _who(trial: Trial) -> str:
    return "what serves" if trial.against == SERVING else "the stock model"


def _name(trial: Trial) -> str:
    return f"{trial.name} against {trial.against}"


def _count(number: int, one: str, many: str) -> str:
    return f"{'no' if number == 0 else number} {one if number == 1 else many}"


def _check(
    name: CheckName, trial: str, passed: bool, detail: str, value: float | None = None, limit: float | None = None
) -> Check:
    return Check(name=name, trial=trial, passed=passed, value=value, limit=limit, detail=detail)
