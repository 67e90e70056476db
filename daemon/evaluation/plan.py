"""What is going to be measured: recordings, model, and all that decides the score, settled before anything is decoded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from daemon.engine.protocol import EngineOptions, engine_options
from medasr.dataset.loading import load_dataset
from medasr.errors import ConfigurationError
from medasr.evaluation import Recipe
from medasr.lexicon import load_lexicon
from medasr.metrics.vocabulary import unreachable_terms
from medasr.packs import locate
from medasr.splits import split_utterances
from medasr.text.normalizers import text_normalizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from daemon.config import Config
    from daemon.sections import Model
    from medasr.dataset.utterance import Dataset
    from medasr.lexicon import Lexicon
    from medasr.text.normalizers import TextNormalizer

#: The model that the daemon serves with, adapter and all.
SERVING = "serving"
#: ``model.base`` without an adapter: the baseline that fine-tuning has to beat.
BASE = "base"
#: Scores are of this part of a split; the others are for training and for choosing.
PART = "test"


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What somebody asked to have measured."""

    dataset: str
    split: str
    model: str = SERVING
    limit: int | None = None  #: so many utterances at most
    trigger: str = "manual"  #: or "scheduled"


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """An evaluation ready to run."""

    request: EvaluationRequest
    dataset: Dataset
    ids: tuple[str, ...]  #: to be transcribed, sorted
    leaks: tuple[str, ...]  #: what the split's parts share, in plain words
    engine: EngineOptions
    normalizer: TextNormalizer
    lexicon: Lexicon

    @property
    def key(self) -> str:
        """What makes an interrupted evaluation the same one, 32 hex digits."""
        model = self.engine.model.model_dump(mode="json", exclude={"batch_size", "threads"})
        return _digest([self.request.trigger, model, asdict(self.recipe(self.ids))])[:32]

    @property
    def lost_terms(self) -> tuple[str, ...]:
        """Terms of the lexicon that can be found in no normalized text: they count in no score."""
        return tuple(dict.fromkeys(one.term for one in unreachable_terms(self.lexicon, self.normalizer)))

    def recipe(self, scored: Iterable[str]) -> Recipe:
        """Give the recipe, from the ids of the utterances that were scored."""
        return Recipe(
            dataset=self.dataset.source,
            dataset_sha256=self.dataset.sha256,
            split=self.request.split,
            part=PART,
            utterances_sha256=_digest(sorted(scored)),
            normalizer=self.normalizer.id,
            lexicon_sha256=self.lexicon.sha256,
            decoding={"language": self.engine.model.language, "speech": self.engine.speech.model_dump(mode="json")},
        )


def plan_evaluation(
    config: Config, request: EvaluationRequest, *, progress: Callable[[int, int | None], None] | None = None
) -> EvaluationPlan:
    """Settle what is measured; ``progress`` hears how many entries of the dataset were read.

    Raise ConfigurationError without a dataset, ModelError when the model is not installed, DatasetError when the dataset cannot be
    read or the split has nothing to test.
    """
    if not request.dataset:
        raise ConfigurationError(
            "there is nothing to measure on; name a dataset with --dataset, or set evaluation.dataset (docs/dataset.md)"
        )
    options = engine_options(config)
    engine = replace(options, model=_model(config.model, request.model))
    locate(engine.models, engine.model.base)
    dataset = load_dataset(request.dataset, cache=config.paths.datasets, progress=progress)
    split = split_utterances(dataset, request.split)
    return EvaluationPlan(
        request=request,
        dataset=dataset,
        ids=_limited(split.part(PART), request.limit),
        leaks=split.leaks.warnings(),
        engine=engine,
        normalizer=text_normalizer(config.evaluation.normalizer),
        lexicon=load_lexicon(config.lexicon.extra),
    )


def _model(configured: Model, name: str) -> Model:
    """The options of the model that a person named."""
    if name == SERVING:
        return configured
    stock = {"adapter": ""} if name == BASE else {"adapter": "", "base": name}
    return configured.model_copy(update=stock)


def _limited(ids: tuple[str, ...], limit: int | None) -> tuple[str, ...]:
    """So many of the ids, the same ones each time and not all of one speaker, whose ids often stand together."""
    if limit is None or limit >= len(ids):
        return ids
    return tuple(sorted(sorted(ids, key=_digest)[:limit]))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
