"""An evaluation: what was measured, how, and with which result. Two scores may be compared only if their recipes are equal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from medasr.dataset.utterance import Exclusion
from medasr.metrics.scores import ScoredUtterance, Scores
from medasr.types import ModelVersion

#: Name of the list of terms among what decides how recordings are decoded.
BIAS = "bias"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything besides the model that decides a score."""

    dataset: str  #: for people; not part of the identity
    dataset_sha256: str
    split: str  #: all, published, phrase-disjoint or phrase-and-speaker-disjoint
    part: str  #: train, validate or test
    utterances_sha256: str  #: of the ids that were scored, so that limits and exclusions count
    normalizer: str  #: name and version: clinical-en/1
    lexicon_sha256: str
    decoding: dict[str, Any]  #: language, voice activity and windows: how the recordings were decoded

    @property
    def sha256(self) -> str:
        """Identity of the recipe."""
        content = {name: value for name, value in asdict(self).items() if name != "dataset"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def without_bias(self) -> Recipe:
        """The same without a list of terms: what it brings is measured by comparing, as what a model brings."""
        return replace(self, decoding={name: value for name, value in self.decoding.items() if name != BIAS})


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """A finished evaluation."""

    model: ModelVersion
    model_label: str  #: as it was asked for: serving, base, whisper-tiny.en ...
    recipe: Recipe
    trigger: str  #: "manual" or "scheduled"
    started_at: datetime
    ended_at: datetime
    device: str
    engine_seconds: float  #: the model process worked so long on it
    scores: Scores
    normalized_wer_by_normalizer: dict[
        str, float | None
    ]  #: the same hypotheses under each normalizer, for comparison with others
    exclusions: tuple[Exclusion, ...]  #: of the dataset and of this evaluation
    leaks: tuple[str, ...]  #: what the leak check found, in plain words; empty when nothing
    versions: dict[str, str]  #: packages that decide the result: medasr, torch, transformers ...
    utterances: tuple[ScoredUtterance, ...]

    @property
    def rtfx(self) -> float | None:
        """Seconds of audio transcribed in one second of the model process."""
        return self.scores.hours * 3600 / self.engine_seconds if self.engine_seconds > 0 else None
