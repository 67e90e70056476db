"""The evaluations as CSV, a line for each: for spreadsheets and statistics programs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from daemon.report.history import model_name
from medasr.metrics.scores import HEADLINE

if TYPE_CHECKING:
    from daemon.report.history import Point, Series
    from daemon.report.overview import Overview

#: With one of these a cell begins that a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def report_csv(overview: Overview) -> str:
    """Give a header and a line for each evaluation, those of a series together, oldest first; figures that are not known are empty."""
    categories = sorted(
        {name for series in overview.series for point in series.points for name in point.evaluation.scores.categories}
    )
    rows = [_row(series, point, categories) for series in overview.series for point in series.points]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if rows:
        writer.writerow([_harmless(name) for name in rows[0]])
        writer.writerows([[_harmless(value) for value in row.values()] for row in rows])
    return text.getvalue()


def _row(series: Series, point: Point, categories: list[str]) -> dict[str, Any]:
    one = point.evaluation
    row: dict[str, Any] = {
        "evaluation": one.id,
        "ended_at": one.ended_at.isoformat(),
        "series": series.letter,
        "line": point.line,
        "trigger": one.trigger,
        "model": model_name(one.model),
        "base_sha256": one.model.base_sha256,
        "adapter_sha256": one.model.adapter_sha256,
        "dataset": one.recipe.dataset,
        "dataset_sha256": one.recipe.dataset_sha256,
        "split": one.recipe.split,
        "part": one.recipe.part,
        "normalizer": one.recipe.normalizer,
        "recipe_sha256": one.recipe.sha256,
        "leaks": len(one.leaks),
        "n_utterances": one.scores.n_utterances,
        "n_terms": one.scores.n_terms,
        "rtfx": one.rtfx,
    }
    for metric in HEADLINE:
        estimate = getattr(one.scores, metric)
        last, best = point.since_last.get(metric), point.since_best.get(metric)
        row |= {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}
        row[f"{metric}_since_last"] = last.difference if last else None
        row[f"{metric}_since_best"] = best.difference if best else None
    for category in categories:
        counts = one.scores.categories.get(category)
        row[f"mta_{category}"] = counts.accuracy if counts else None
    return row


def _harmless(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
