"""Evaluations: filed whole in one transaction, once; listed cheaply; their utterances read back as they were scored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Row, Select, Text, insert, or_, select, type_coerce, update
from sqlalchemy.orm import Session

from daemon.store import audit
from daemon.store.schema import EvaluationRow, EvaluationUtteranceRow, ModelVersionRow
from daemon.store.transcripts import model_version
from medasr.dataset.utterance import Exclusion
from medasr.errors import FatalError
from medasr.evaluation import EvaluationReport, Recipe
from medasr.metrics.scores import (
    AlignedWords,
    Edit,
    EditCounts,
    ScoredUtterance,
    Scores,
    TermCounts,
    TermOutcome,
    TermOutcomeKind,
)
from medasr.types import ModelVersion

#: An evaluation's number has at most so many digits.
_DIGITS = 9
_COUNTED = ("words", "characters", "normalized_words", "normalized_characters")


@dataclass(frozen=True, kw_only=True)
class EvaluationSummary:
    """An evaluation without its utterances; the fields are those of :class:`medasr.evaluation.EvaluationReport`."""

    id: int
    model: ModelVersion
    model_label: str
    recipe: Recipe
    trigger: str
    started_at: datetime
    ended_at: datetime
    device: str
    engine_seconds: float
    rtfx: float | None
    scores: Scores
    normalized_wer_by_normalizer: dict[str, float | None]
    exclusions: tuple[Exclusion, ...]
    leaks: tuple[str, ...]
    versions: dict[str, str]


def unique_id(report: EvaluationReport) -> str:
    """What makes an evaluation the same one, 32 hex digits: its model, its recipe and the moment at which it began."""
    began = report.started_at.astimezone(UTC).isoformat(timespec="milliseconds")
    identity = [asdict(report.model), report.recipe.sha256, began]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def add(session: Session, report: EvaluationReport, *, actor: str = "daemon", now: datetime | None = None) -> int:
    """Store an evaluation with all its utterances, and return its number; one that is stored already is left as it is."""
    uid = unique_id(report)
    known = number(session, uid)
    if known is not None:
        return known
    now = now or datetime.now(UTC)
    row = _row(report, uid, model_version(session, report.model, now=now).id)
    session.add(row)
    session.flush()
    if report.utterances:
        session.execute(insert(EvaluationUtteranceRow), [_packed(row.id, scored) for scored in report.utterances])
    counts: dict[str, Any] = {
        "evaluation": row.id,
        "utterances": len(report.utterances),
        "excluded": len(report.exclusions),
    }
    audit.record(session, now=now, actor=actor, action="evaluated", model=row.model_version_id, **counts)
    return row.id


def number(session: Session, uid: str) -> int | None:
    """The number of the evaluation with this unique id; None when it is not stored."""
    return session.scalar(select(EvaluationRow.id).where(EvaluationRow.uid == uid))


def adopt(session: Session, evaluation_id: int) -> None:
    """Make what was measured of a version a measurement of what serves: it was promoted."""
    session.execute(update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(model_label="serving"))


def same_model(
    session: Session, *, base_sha256: str, adapter_sha256: str, dataset_sha256: str
) -> list[EvaluationSummary]:
    """Return what was measured of a model on a dataset, newest first, as :func:`summaries` does; an empty hash is a stock model's."""
    version, row = ModelVersionRow, EvaluationRow
    query = _query().where(version.base_sha256 == base_sha256, version.adapter_sha256 == adapter_sha256)
    query = query.where(row.dataset_sha256 == dataset_sha256).order_by(row.ended_at.desc(), row.id.desc())
    return [_summary(one) for one in session.execute(query)]


def scheduled_since(session: Session, moment: datetime) -> bool:
    """Whether a scheduled evaluation has ended since a moment."""
    query = (
        select(EvaluationRow.id).where(EvaluationRow.trigger == "scheduled", EvaluationRow.ended_at >= moment).limit(1)
    )
    return session.scalar(query) is not None


def summaries(
    session: Session,
    *,
    since: datetime | None = None,
    model: str | None = None,
    dataset: str | None = None,
    limit: int | None = None,
) -> list[EvaluationSummary]:
    """Return evaluations, newest first: since a moment, of a model (label or base), of a dataset (name, or its hash's beginning).

    They come without utterances, and ``scores.terms`` is empty: the counts of hundreds of terms would take most of the time.
    :func:`find` brings them.
    """
    query = _query().order_by(EvaluationRow.ended_at.desc(), EvaluationRow.id.desc()).limit(limit)
    if since is not None:
        query = query.where(EvaluationRow.ended_at >= since)
    if model is not None:
        query = query.where(or_(EvaluationRow.model_label == model, ModelVersionRow.base_id == model))
    if dataset is not None:
        query = query.where(or_(EvaluationRow.dataset == dataset, _begins(EvaluationRow.dataset_sha256, dataset)))
    return [_summary(row) for row in session.execute(query)]


def find(session: Session, identifier: str) -> EvaluationSummary:
    """Given an evaluation's number or ``latest``, return it with the counts of its terms. Raise FatalError when there is none."""
    query = _query()
    if identifier == "latest":
        query = query.order_by(EvaluationRow.ended_at.desc(), EvaluationRow.id.desc()).limit(1)
    elif identifier.isdecimal() and len(identifier) <= _DIGITS:
        query = query.where(EvaluationRow.id == int(identifier))
    else:
        raise FatalError(f'"{identifier}" is no evaluation: a number of `medasrd evaluations list`, or latest')
    row = session.execute(query).first()
    if row is None and identifier == "latest":
        raise FatalError("there are no evaluations yet; `medasrd evaluate --dataset DATASET` makes one")
    if row is None:
        raise FatalError(f"there is no evaluation {identifier}; `medasrd evaluations list` shows them")
    summary = _summary(row)
    counts = session.execute(select(EvaluationRow.terms).where(EvaluationRow.id == summary.id)).scalar_one()
    terms = {term: TermCounts(correct=c, missed=m, invented=i) for term, (c, m, i) in counts.items()}
    return replace(summary, scores=replace(summary.scores, terms=terms))


def scored_utterances(session: Session, evaluation_id: int) -> list[ScoredUtterance]:
    """Return the utterances of an evaluation, ordered by id."""
    table = EvaluationUtteranceRow.__table__
    query = select(table).where(table.c.evaluation_id == evaluation_id).order_by(table.c.utterance_id)
    return [_unpacked(row) for row in session.execute(query)]


def _row(report: EvaluationReport, uid: str, model_version_id: int) -> EvaluationRow:
    scores = report.scores
    return EvaluationRow(
        uid=uid,
        model_version_id=model_version_id,
        model_label=report.model_label,
        trigger=report.trigger,
        dataset=report.recipe.dataset,
        dataset_sha256=report.recipe.dataset_sha256,
        recipe_sha256=report.recipe.sha256,
        recipe=asdict(report.recipe),
        started_at=report.started_at,
        ended_at=report.ended_at,
        device=report.device,
        engine_seconds=report.engine_seconds,
        audio_seconds=scores.hours * 3600,
        scores=asdict(replace(scores, terms={})),
        terms={term: [counts.correct, counts.missed, counts.invented] for term, counts in scores.terms.items()},
        normalized_wer_by_normalizer=report.normalized_wer_by_normalizer,
        exclusions=[asdict(exclusion) for exclusion in report.exclusions],
        leaks=list(report.leaks),
        versions=report.versions,
    )


def _query() -> Select[Any]:
    """All columns of a summary; JSON as text, which pydantic reads twice as fast as what the JSON type makes of it."""
    row = EvaluationRow
    documents = ("recipe", "scores", "normalized_wer_by_normalizer", "exclusions", "leaks", "versions")
    columns: list[Any] = [
        *(row.id, row.model_label, row.trigger, row.started_at, row.ended_at, row.device),
        *(row.engine_seconds, row.audio_seconds),
        *(type_coerce(getattr(row, name), Text).label(name) for name in documents),
        *(getattr(ModelVersionRow, name) for name in ModelVersion.__dataclass_fields__),
    ]
    return select(*columns).join(ModelVersionRow, ModelVersionRow.id == row.model_version_id)


def _begins(column: Any, text: str) -> ColumnElement[bool]:
    return column.startswith(text, autoescape=True) if text else column == text  # type: ignore[no-any-return]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _summary(row: Row[Any]) -> EvaluationSummary:
    model = {name: getattr(row, name) for name in ModelVersion.__dataclass_fields__}
    model["adapter_sha256"] = model["adapter_sha256"] or None
    return EvaluationSummary(
        id=row.id,
        model=ModelVersion(**model),
        model_label=row.model_label,
        recipe=_adapter(Recipe).validate_json(row.recipe),
        trigger=row.trigger,
        started_at=row.started_at,
        ended_at=row.ended_at,
        device=row.device,
        engine_seconds=row.engine_seconds,
        rtfx=row.audio_seconds / row.engine_seconds if row.engine_seconds > 0 else None,
        scores=_adapter(Scores).validate_json(row.scores),
        normalized_wer_by_normalizer=json.loads(row.normalized_wer_by_normalizer),
        exclusions=_adapter(tuple[Exclusion, ...]).validate_json(row.exclusions),
        leaks=tuple(json.loads(row.leaks)),
        versions=json.loads(row.versions),
    )


def _packed(evaluation_id: int, scored: ScoredUtterance) -> dict[str, Any]:
    """A row; lists in place of named fields, since a year's evaluations hold a hundred thousand utterances."""
    counts: dict[str, Any] = {name: _counts(getattr(scored, name)) for name in _COUNTED}
    return {
        "evaluation_id": evaluation_id,
        "utterance_id": scored.id,
        "speaker": scored.speaker,
        "seconds": scored.seconds,
        "reference": scored.reference,
        "hypothesis": scored.hypothesis,
        "normalized_reference": scored.normalized_reference,
        "normalized_hypothesis": scored.normalized_hypothesis,
        "counts": counts | {"notebook_terms": list(scored.notebook_terms)},
        "alignment": [[part.edit, part.reference, part.hypothesis] for part in scored.alignment],
        "terms": [_packed_term(hit) for hit in scored.terms],
    }


def _packed_term(hit: TermOutcome) -> list[str | float]:
    """One without a confidence is packed as all were before confidences were kept."""
    packed: list[str | float] = [hit.term, hit.category, hit.kind, hit.reference, hit.hypothesis]
    return packed if hit.confidence is None else [*packed, hit.confidence]


def _counts(counts: EditCounts) -> list[int]:
    return [counts.hits, counts.substitutions, counts.deletions, counts.insertions]


def _unpacked(row: Row[Any]) -> ScoredUtterance:
    counts: dict[str, Any] = {
        name: EditCounts(hits=hits, substitutions=substitutions, deletions=deletions, insertions=insertions)
        for name, (hits, substitutions, deletions, insertions) in ((name, row.counts[name]) for name in _COUNTED)
    }
    occurring, contained = row.counts["notebook_terms"]
    return ScoredUtterance(
        id=row.utterance_id,
        speaker=row.speaker,
        seconds=row.seconds,
        reference=row.reference,
        hypothesis=row.hypothesis,
        normalized_reference=row.normalized_reference,
        normalized_hypothesis=row.normalized_hypothesis,
        words=counts["words"],
        characters=counts["characters"],
        normalized_words=counts["normalized_words"],
        normalized_characters=counts["normalized_characters"],
        alignment=tuple(
            AlignedWords(edit=Edit(edit), reference=reference, hypothesis=hypothesis)
            for edit, reference, hypothesis in row.alignment
        ),
        terms=tuple(
            TermOutcome(
                term=term,
                category=category,
                kind=TermOutcomeKind(kind),
                reference=reference,
                hypothesis=hypothesis,
                confidence=confidence[0] if confidence else None,
            )
            for term, category, kind, reference, hypothesis, *confidence in row.terms
        ),
        notebook_terms=(occurring, contained),
    )
