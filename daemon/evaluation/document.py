"""An evaluation as JSON, the same for `medasrd evaluate` and `medasrd evaluations`; the keys are documented in docs/evaluation.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medasr.metrics.scores import Calibration, Estimate, ScoredUtterance, TermCounts
from medasr.metrics.summary import headline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.store.evaluations import EvaluationSummary

#: Metrics beside the headline.
FURTHER = ("drug_mta", "drug_precision", "macro_mta", "notebook_mta")


def evaluation_document(evaluation: EvaluationSummary) -> dict[str, Any]:
    """All of an evaluation but its utterances: no text, but terms of the lexicon."""
    return findings_document(evaluation) | {
        "terms": _tables(evaluation.scores.terms),
        "recipe": asdict(evaluation.recipe) | {"sha256": evaluation.recipe.sha256},
    }


def findings_document(evaluation: EvaluationSummary) -> dict[str, Any]:
    """An evaluation without its recipe and its single terms, for lists of a thousand: dataclasses.asdict takes ten times as long."""
    scores = evaluation.scores
    return {
        "id": evaluation.id,
        "model": vars(evaluation.model) | {"label": evaluation.model_label},
        "trigger": evaluation.trigger,
        "started_at": evaluation.started_at.isoformat(),
        "ended_at": evaluation.ended_at.isoformat(),
        "device": evaluation.device,
        "engine_seconds": evaluation.engine_seconds,
        "rtfx": evaluation.rtfx,
        **headline(scores),
        **{name: _estimate(getattr(scores, name)) for name in FURTHER},
        "invented_per_hour": scores.invented_per_hour,
        "words": dict(vars(scores.words)),
        "normalized_words": dict(vars(scores.normalized_words)),
        "n_speakers": scores.n_speakers,
        "hours": scores.hours,
        "resampled": scores.resampled,
        "calibration": _calibration(scores.calibration),
        "categories": _tables(scores.categories),
        "normalized_wer_by_normalizer": evaluation.normalized_wer_by_normalizer,
        "leaks": list(evaluation.leaks),
        "exclusions": dict(Counter(str(one.reason) for one in evaluation.exclusions)),
        "versions": evaluation.versions,
    }


def utterance_document(scored: ScoredUtterance) -> dict[str, Any]:
    """One utterance with its texts, its alignment and what became of its terms."""
    return asdict(scored)


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    """How far confidences of terms are from what was said; None where none are known."""
    if found is None:
        return None
    return {
        "error": found.error,
        "count": found.count,
        "confidence": found.confidence,
        "accuracy": found.accuracy,
        "bins": [dict(vars(one)) for one in found.bins],
    }


def _tables(counts: Mapping[str, TermCounts]) -> dict[str, Any]:
    return {name: vars(one) | {"accuracy": one.accuracy, "precision": one.precision} for name, one in counts.items()}


def _estimate(one: Estimate) -> dict[str, float | None]:
    return dict(vars(one))
