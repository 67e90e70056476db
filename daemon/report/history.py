"""Evaluations as a history: which may be compared, and what changed since the last and since the best of them.

Comparable are evaluations with equal recipes. Those of one recipe are a *series*; within it, the evaluations of what serves are one
*line*, and those of each model that was asked for by another name are one line each, so that a baseline measured now and then
breaks nobody's trend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from medasr.metrics.scores import HEADLINE, HIGHER_IS_BETTER

if TYPE_CHECKING:
    from daemon.store.evaluations import EvaluationSummary
    from medasr.evaluation import Recipe
    from medasr.metrics.scores import Estimate
    from medasr.types import ModelVersion

#: The line of what serves, whatever model that was at the time.
SERVING = "serving"
#: Differences below half of the last figure shown are none.
RESOLUTION = 0.05


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of a metric between two comparable evaluations."""

    metric: str
    earlier: EvaluationSummary
    before: float  #: percent
    after: float  #: percent
    low: float | None  #: 95 % interval of the difference, points; None where either evaluation has no interval
    high: float | None

    @property
    def difference(self) -> float:
        """Points, later minus earlier."""
        return self.after - self.before

    @property
    def better(self) -> bool | None:
        """Whether the change is for the better; None when nothing changed that is shown."""
        if abs(self.difference) < RESOLUTION:
            return None
        return (self.difference > 0) == (self.metric in HIGHER_IS_BETTER)

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval excludes that nothing changed."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class Point:
    """An evaluation and its changes since comparable ones before it, by metric.

    They are sought on its own line; for the first of a line, among all of its series.
    """

    evaluation: EvaluationSummary
    line: str
    last: EvaluationSummary | None
    since_last: dict[str, Change]
    since_best: dict[str, Change]

    @property
    def other_model(self) -> bool:
        """Whether another model version was measured the last time."""
        return self.last is not None and self.last.model != self.evaluation.model


@dataclass(frozen=True, kw_only=True)
class Series:
    """All evaluations with one recipe, oldest first."""

    letter: str  #: A, B ... Z, AA: how the series is called
    recipe: Recipe
    changed: tuple[
        str, ...
    ]  #: what is different from the recipe of the series before it, in words; empty for the first
    points: tuple[Point, ...]

    @property
    def lines(self) -> dict[str, tuple[Point, ...]]:
        """The points of each line."""
        return {
            name: tuple(point for point in self.points if point.line == name)
            for name in dict.fromkeys(point.line for point in self.points)
        }


def histories(evaluations: Sequence[EvaluationSummary]) -> tuple[Series, ...]:
    """Given evaluations in any order, return their series, the one that was measured last at the end."""
    groups: dict[str, list[EvaluationSummary]] = {}
    for evaluation in sorted(evaluations, key=_when):
        groups.setdefault(evaluation.recipe.sha256, []).append(evaluation)
    series: list[Series] = []
    for group in sorted(groups.values(), key=lambda group: _when(group[-1])):
        recipe = group[-1].recipe
        changed = recipe_changes(series[-1].points[-1].evaluation, group[-1]) if series else ()
        series.append(Series(letter=_letter(len(series)), recipe=recipe, changed=changed, points=_points(group)))
    return tuple(series)


def model_name(model: ModelVersion) -> str:
    """A model version as people tell it from others: whisper-base, fp32; with an adapter, the beginning of its hash."""
    adapter = f" + {model.adapter_sha256[:8]}" if model.adapter_sha256 else ""
    context = "" if model.audio_context == "full" else f", {model.audio_context} context"
    return f"{model.base_id}{adapter}, {model.precision}{context}"


def recipe_changes(before: EvaluationSummary, after: EvaluationSummary) -> tuple[str, ...]:
    """Given two evaluations, say in a few words each what is different in their recipes."""
    old, new = before.recipe, after.recipe
    changes = []
    if old.dataset_sha256 != new.dataset_sha256:
        renamed = old.dataset != new.dataset
        changes.append(f"dataset {old.dataset} → {new.dataset}" if renamed else f"the content of {new.dataset}")
    for name in ("split", "part", "normalizer"):
        if getattr(old, name) != getattr(new, name):
            changes.append(f"{name} {getattr(old, name)} → {getattr(new, name)}")
    if not changes and old.utterances_sha256 != new.utterances_sha256:
        counts = before.scores.n_utterances, after.scores.n_utterances
        differ = counts[0] != counts[1]
        changes.append(
            f"utterances {counts[0]} → {counts[1]}" if differ else f"which {counts[0]} utterances were scored"
        )
    if old.lexicon_sha256 != new.lexicon_sha256:
        changes.append("the lexicon's terms")
    return (*changes, *_decoding_changes(old.decoding, new.decoding))


def _decoding_changes(old: Mapping[str, Any], new: Mapping[str, Any], of: str = "decoding") -> list[str]:
    changes = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += _decoding_changes(before, after, f"{of}.{name}")
        elif before != after:
            changes.append(f"{of}.{name} {_plain(before)} → {_plain(after)}")
    return changes


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items())
    return "none" if value is None else str(value)


def _when(evaluation: EvaluationSummary) -> tuple[float, int]:
    return evaluation.ended_at.timestamp(), evaluation.id


def _letter(index: int) -> str:
    """A ... Z, AA, AB ..."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


@dataclass(kw_only=True)
class _Earlier:
    """What a further evaluation is held against: the last one, and the best for each metric."""

    last: EvaluationSummary
    best: dict[str, EvaluationSummary]

    def add(self, evaluation: EvaluationSummary) -> None:
        self.last = evaluation
        for metric in HEADLINE:
            value = _estimate(evaluation, metric).value
            best = _estimate(self.best[metric], metric).value if metric in self.best else None
            if value is not None and (best is None or is_better(metric, value, best)):
                self.best[metric] = evaluation


def is_better(metric: str, value: float, than: float) -> bool:
    """Whether a value of a metric is better than another."""
    return value > than if metric in HIGHER_IS_BETTER else value < than


def _points(group: Sequence[EvaluationSummary]) -> tuple[Point, ...]:
    """Given the evaluations of one recipe, oldest first."""
    everybody: _Earlier | None = None
    lines: dict[str, _Earlier] = {}
    points = []
    for evaluation in group:
        line = evaluation.model_label
        earlier = lines.get(line, everybody)
        points.append(_point(evaluation, line, earlier))
        everybody = everybody or _Earlier(last=evaluation, best={})
        own = lines.setdefault(line, _Earlier(last=evaluation, best={}))
        for known in (everybody, own):
            known.add(evaluation)
    return tuple(points)


def _point(evaluation: EvaluationSummary, line: str, earlier: _Earlier | None) -> Point:
    last, best = (earlier.last, earlier.best) if earlier else (None, {})
    since_last = {metric: _change(metric, last, evaluation) for metric in HEADLINE} if last else {}
    since_best = {metric: _change(metric, before, evaluation) for metric, before in best.items()}
    return Point(
        evaluation=evaluation,
        line=line,
        last=last,
        since_last={metric: change for metric, change in since_last.items() if change},
        since_best={metric: change for metric, change in since_best.items() if change},
    )


def _change(metric: str, earlier: EvaluationSummary, later: EvaluationSummary) -> Change | None:
    """The difference with the interval that the two intervals give (MOVER; Zou and Donner, Statistics in Medicine 27, 2008).

    It treats the two as independent. They were measured on the same utterances, which as a rule makes the true interval narrower: a
    change within the noise here may still show in the paired comparison of `medasrd evaluations compare`.
    """
    before, after = _estimate(earlier, metric), _estimate(later, metric)
    if before.value is None or after.value is None:
        return None
    low = high = None
    if None not in (before.low, before.high, after.low, after.high):
        assert before.low is not None and before.high is not None  # noqa: S101, PT018
        assert after.low is not None and after.high is not None  # noqa: S101, PT018
        difference = after.value - before.value
        low = difference - math.hypot(after.value - after.low, before.high - before.value)
        high = difference + math.hypot(after.high - after.value, before.value - before.low)
    return Change(metric=metric, earlier=earlier, before=before.value, after=after.value, low=low, high=high)


def _estimate(evaluation: EvaluationSummary, metric: str) -> Estimate:
    estimate: Estimate = getattr(evaluation.scores, metric)
    return estimate
