"""Finished evaluations with believable numbers, made without a model."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from medasr.dataset.utterance import Exclusion, ExclusionReason
from medasr.evaluation import EvaluationReport, Recipe
from medasr.metrics.scores import (
    AlignedWords,
    Calibration,
    Edit,
    EditCounts,
    Estimate,
    ReliabilityBin,
    ScoredUtterance,
    Scores,
    TermCounts,
    TermOutcome,
    TermOutcomeKind,
)
from medasr.types import ModelVersion

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BASE = ModelVersion(
    base_id="whisper-base", base_revision="1", base_sha256="ab" * 32, adapter_sha256=None, precision="fp32"
)
TINY = replace(BASE, base_id="whisper-tiny.en", base_sha256="cd" * 32)
TUNED = replace(BASE, adapter_sha256="ef" * 32)
RECIPE = Recipe(
    dataset="medical-speech",
    dataset_sha256="da" * 32,
    split="phrase-and-speaker-disjoint",
    part="test",
    utterances_sha256="12" * 32,
    normalizer="clinical-en/1",
    lexicon_sha256="34" * 32,
    decoding={"language": "en", "audio_context": "full", "speech": {"threshold": 0.5}},
)


def make_report(*, skill: float = 0.8, number: int = 12, seed: int = 0, **overrides: Any) -> EvaluationReport:
    """A finished evaluation of ``number`` utterances.

    ``skill`` (0..1) moves all metrics together: 0.8 gives a normalized WER of 20 % and an MTA of 80 %. ``overrides`` are fields of the
    report; two reports with the same model, recipe and ``started_at`` are the same evaluation, so vary one of them.
    """
    began = overrides.get("started_at", NOW)
    values: dict[str, Any] = {
        "model": BASE,
        "model_label": "serving",
        "recipe": RECIPE,
        "trigger": "manual",
        "started_at": began,
        "ended_at": began + timedelta(minutes=5),
        "device": "cpu",
        "engine_seconds": 180.0,
        "scores": make_scores(skill, number=number),
        "normalized_wer_by_normalizer": {"clinical-en/1": 100 * (1 - skill), "seed/1": 104 * (1 - skill)},
        "exclusions": (
            Exclusion(id="1249120_0001", reason=ExclusionReason.TOO_SHORT, detail="0.21 s"),
            Exclusion(id="1249120_0002", reason=ExclusionReason.NO_HYPOTHESIS, detail="DECODER_CRASHED"),
        ),
        "leaks": (),
        "versions": {"medasr": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "utterances": make_utterances(skill, number=number, seed=seed),
    }
    return EvaluationReport(**values | overrides)


def make_scores(skill: float = 0.8, *, number: int = 12, **overrides: Any) -> Scores:
    """The metrics of a model of this skill; ``overrides`` are fields of the scores."""
    missed = 100 * (1 - skill)
    words = _counts(number * 10, errors=round(number * 10 * (1 - skill)))
    correct, terms = round(number * 2 * skill), number * 2
    values: dict[str, Any] = {
        "wer": _estimate(missed * 1.4),
        "normalized_wer": _estimate(missed),
        "cer": _estimate(missed * 0.7),
        "normalized_cer": _estimate(missed * 0.5),
        "mta": _estimate(100 - missed),
        "term_precision": _estimate(100 - missed / 3),
        "drug_mta": _estimate(100 - missed * 1.5),
        "drug_precision": _estimate(100 - missed / 2),
        "macro_mta": _estimate(100 - missed * 1.2),
        "notebook_mta": _estimate(100 - missed * 0.8),
        "invented_per_hour": missed / 2,
        "words": words,
        "normalized_words": words,
        "categories": {
            "symptom": TermCounts(correct=correct // 2, missed=(terms - correct) // 2, invented=1),
            "drug": TermCounts(
                correct=correct - correct // 2, missed=terms - correct - (terms - correct) // 2, invented=0
            ),
        },
        "terms": {
            "chest pain": TermCounts(correct=correct // 2, missed=(terms - correct) // 2, invented=1),
            "ibuprofen": TermCounts(
                correct=correct - correct // 2, missed=terms - correct - (terms - correct) // 2, invented=0
            ),
        },
        "n_utterances": number,
        "n_terms": terms,
        "n_speakers": 3,
        "hours": number * 6 / 3600,
        "resampled": "speakers",
        "calibration": Calibration(
            error=0.05,
            bins=(
                ReliabilityBin(count=2, confidence=0.5, accuracy=0.5),
                ReliabilityBin(count=2, confidence=0.9, accuracy=1.0),
            ),
        ),
    }
    return Scores(**values | overrides)


def make_utterances(skill: float = 0.8, *, number: int = 12, seed: int = 0) -> tuple[ScoredUtterance, ...]:
    """Utterances ordered by id, a share of ``1 - skill`` of which has its drug misheard."""
    chance = random.Random(seed)
    return tuple(
        make_utterance(f"{1249120 + index}_1853", speaker=f"speaker-{index % 3}", misheard=chance.random() > skill)
        for index in range(number)
    )


def make_utterance(
    id: str,  # noqa: A002
    *,
    speaker: str | None = "speaker-0",
    misheard: bool = False,
    reference: str = "I have chest pain and took ibuprofen.",
) -> ScoredUtterance:
    """An utterance in which the drug is heard as another one, or everything is right."""
    said = reference.lower().rstrip(".")
    heard = said.replace("ibuprofen", "i profane") if misheard else said
    before = said.removesuffix(" ibuprofen")
    same = AlignedWords(edit=Edit.EQUAL, reference=before, hypothesis=before)
    last = AlignedWords(edit=Edit.EQUAL, reference="ibuprofen", hypothesis="ibuprofen")
    wrong = AlignedWords(edit=Edit.SUBSTITUTE, reference="ibuprofen", hypothesis="i profane")
    drug = TermOutcome(
        term="ibuprofen",
        category="drug",
        kind=TermOutcomeKind.MISSED if misheard else TermOutcomeKind.CORRECT,
        reference="ibuprofen",
        hypothesis="i profane" if misheard else "ibuprofen",
        confidence=None if misheard else 0.75,
    )
    pain = TermOutcome(
        term="chest pain",
        category="symptom",
        kind=TermOutcomeKind.CORRECT,
        reference="chest pain",
        hypothesis="chest pain",
        confidence=0.875,
    )
    counts = EditCounts(hits=6, substitutions=1, deletions=0, insertions=1) if misheard else _counts(7, errors=0)
    characters = EditCounts(hits=29, substitutions=4, deletions=3, insertions=3) if misheard else _counts(36, errors=0)
    return ScoredUtterance(
        id=id,
        speaker=speaker,
        seconds=6.0,
        reference=reference,
        hypothesis=heard.capitalize(),
        normalized_reference=said,
        normalized_hypothesis=heard,
        words=counts,
        characters=characters,
        normalized_words=counts,
        normalized_characters=characters,
        alignment=(same, wrong) if misheard else (same, last),
        terms=(pain, drug),
        notebook_terms=(2, 1 if misheard else 2),
    )


def _estimate(value: float) -> Estimate:
    return Estimate(value=value, low=max(value - 3, 0.0), high=value + 3)


def _counts(length: int, *, errors: int) -> EditCounts:
    return EditCounts(hits=length - errors, substitutions=errors, deletions=0, insertions=0)
