"""Scores as people read them, the same wherever a command shows them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from daemon.cli.options import console, harmless
from daemon.cli.session import duration
from daemon.cli.tables import print_table

if TYPE_CHECKING:
    from daemon.store.evaluations import EvaluationSummary
    from medasr.metrics.scores import Scores

#: What the metrics are called, in the order in which they are shown.
METRIC_NAMES = {
    "wer": "WER",
    "normalized_wer": "normalized WER",
    "cer": "CER",
    "normalized_cer": "normalized CER",
    "mta": "MTA (medical terms heard right)",
    "term_precision": "term precision (terms really said)",
    "drug_mta": "MTA of drugs alone",
    "drug_precision": "precision of drugs alone",
    "macro_mta": "MTA, mean over distinct terms",
    "notebook_mta": "MTA as the notebook counted it",
}


def print_scores(scores: Scores) -> None:
    """Print every metric with its interval."""
    rows = []
    for metric, name in METRIC_NAMES.items():
        one = getattr(scores, metric)
        rows.append((name, figure(one.value), interval(one.low, one.high)))
    print_table(("in percent", "value", "95 % interval"), rows, right=frozenset({"value"}))
    if found := scores.calibration:
        line(
            f"confidences of terms: calibration error {found.error:.3f} ({found.count} written terms, "
            f"mean confidence {found.confidence:.2f}, {100 * found.accuracy:.0f} % really said)"
        )


def print_circumstances(evaluation: EvaluationSummary) -> None:
    """Print what was measured on what, and what was not scored."""
    scores = evaluation.scores
    speakers = f" of {scores.n_speakers} speakers" if scores.n_speakers else ""
    speed = f", {evaluation.rtfx:.1f} times real time" if evaluation.rtfx else ""
    invented = f", {scores.invented_per_hour:.1f} an hour invented" if scores.invented_per_hour is not None else ""
    line(
        f"{scores.n_utterances} utterances{speakers}, {duration(scores.hours * 3600)}, {scores.n_terms} terms{invented}"
    )
    line(f"{evaluation.model.base_id} as {evaluation.model.precision} on {evaluation.device}{speed}")
    if evaluation.exclusions:
        counts = Counter(str(one.reason) for one in evaluation.exclusions)
        line(f"not scored: {', '.join(f'{count} {reason}' for reason, count in counts.most_common())}")
    for leak in evaluation.leaks:
        line(f"these figures may be too good: {leak}", style="yellow")


def line(words: str, style: str = "") -> None:
    """Print a line that may hold anything: what a terminal would obey is replaced."""
    from rich.text import Text

    console().print(Text(harmless(words), style=style), soft_wrap=True)


def heading(words: str) -> None:
    """Print what the next table is about."""
    console().print()
    line(words, style="bold")


def figure(value: float | None, digits: int = 2) -> str:
    """Give a figure, or a dash where nothing could be counted."""
    return "–" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Give an interval, or nothing."""
    return "" if low is None or high is None else f"{low:.2f} to {high:.2f}"
