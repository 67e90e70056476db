"""The models of the accuracy benchmark beside stock: their figures, and the limits that the recipe has to keep."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.figures import Line
from benchmarks.scores import Scored, normalized_wer, tested_alike
from medasr.metrics.comparison import compare
from medasr.metrics.scores import HEADLINE
from medasr.metrics.summary import summarize


@dataclass(frozen=True, kw_only=True)
class AccuracyFigures:
    """The models beside stock."""

    model: str
    stock: Scored
    others: tuple[Scored, ...]

    def lines(self) -> list[Line]:
        lines = _plain(self.stock, self.model)
        for other in self.others:
            lines += _plain(other, self.model) + _beside(self.stock, other)
        return lines


def _plain(scored: Scored, model: str) -> list[Line]:
    scores = summarize(scored.medical)
    lines = [Line(what=f"{model}, {scored.name}: recordings tested", value=len(scored.medical))]
    lines += [
        Line(what=f"{scored.name}: {metric}", value=getattr(scores, metric).value or 0.0, unit="%")
        for metric in HEADLINE
    ]
    lines += [
        Line(what=f"{scored.name}: normalized WER on speech unlike it", value=normalized_wer(scored.unlike), unit="%"),
        Line(what=f"{scored.name}: normalized WER on joined recordings", value=normalized_wer(scored.joined), unit="%"),
        Line(what=f"{scored.name}: median error of a segment's start", value=scored.time_error, unit="s"),
        Line(what=f"{scored.name}: words written for sounds without speech", value=scored.sound_words),
    ]
    if scored.training_seconds:
        lines.append(Line(what=f"{scored.name}: training", value=scored.training_seconds, unit="s"))
    return lines


def _beside(stock: Scored, other: Scored) -> list[Line]:
    """What became better on the same recordings, held against what the recipe is to reach; the notebook's has nothing to reach."""
    stock = tested_alike(stock, other)
    differences = compare(stock.medical, other.medical).differences
    before = summarize(stock.medical).normalized_wer.value or 0.0
    ours = other.name == "ours"
    no_more = 0.0 if ours else None
    change = 100 * (differences["normalized_wer"].points.value or 0.0) / before
    lines = [
        Line(
            what=f"{other.name}: normalized WER against stock, relative",
            value=change,
            unit="%",
            at_most=-20.0 if ours else None,
        ),
        Line(
            what=f"{other.name}: MTA against stock, points",
            value=differences["mta"].points.value or 0.0,
            at_least=3.0 if ours else None,
        ),
        Line(
            what=f"{other.name}: term precision against stock, points",
            value=differences["term_precision"].points.value or 0.0,
            at_least=0.0 if ours else None,
        ),
        *(
            Line(
                what=f"{other.name}: {name} against stock, points",
                value=differences[metric].points.value or 0.0,
                at_most=no_more,
            )
            for metric, name in (("wer", "WER"), ("cer", "CER"), ("normalized_cer", "normalized CER"))
        ),
        Line(
            what=f"{other.name}: probability of a lower normalized WER",
            value=differences["normalized_wer"].probability_better or 0.0,
        ),
    ]
    for what, first, second in (("unlike", stock.unlike, other.unlike), ("joined", stock.joined, other.joined)):
        points = normalized_wer(second) - normalized_wer(first)
        lines.append(Line(what=f"{other.name}: normalized WER {what}, points", value=points, at_most=no_more))
    if ours:  # who is tested in one fold only has other joined recordings than stock, and the sounds less often
        lines += [
            Line(
                what="ours: median error of a segment's start against stock",
                value=other.time_error - stock.time_error,
                unit="s",
                at_most=no_more,
            ),
            Line(
                what="ours: words written for sounds without speech against stock",
                value=other.sound_words - stock.sound_words,
                at_most=no_more,
            ),
        ]
    return lines
