"""What is going to be measured: recordings, model, and all that decides the score, settled before anything is decoded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.engine.bias import term_lists
from daemon.engine.options import engine_options
from daemon.engine.protocol import EngineOptions
from daemon.evaluation.versions import package_versions
from daemon.registry.naming import SERVING
from daemon.registry.serving import adapter_identity
from daemon.sections import Quality
from medasr.dataset.loading import load_dataset
from medasr.errors import ConfigurationError
from medasr.evaluation import BIAS, Recipe
from medasr.lexicon import load_lexicon
from medasr.metrics.vocabulary import unreachable_terms
from medasr.packs import locate
from medasr.splits import split_utterances
from medasr.text.normalizers import text_normalizer
from medasr.whisper.manifest import read_heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from daemon.config import Config
    from medasr.dataset.utterance import Dataset
    from medasr.lexicon import Lexicon
    from medasr.text.normalizers import TextNormalizer

#: Scores are of this part of a split; the others are for training and for choosing.
PART = "test"
#: Of the options of ``[quality]`` the one that withholds no text, and so belongs to no recipe.
_ONLY_MARKS = "min_term_confidence"


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What somebody asked to have measured."""

    dataset: str
    split: str
    model: str = SERVING
    limit: int | None = None  #: so many utterances at most
    trigger: str = "manual"  #: or "scheduled"
    name: str = ""  #: what the dataset is called, where its file's name says nothing
    bias: Path | None = None  #: a list of terms that are preferred in all recordings


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """An evaluation ready to run."""

    request: EvaluationRequest
    dataset: Dataset
    ids: tuple[str, ...]  #: to be transcribed, sorted
    split_leaks: tuple[str, ...]  #: what the split's parts share, in plain words
    heard: frozenset[str]  #: of the ids, those that the model has learned from
    engine: EngineOptions
    normalizer: TextNormalizer
    lexicon: Lexicon

    @property
    def key(self) -> str:
        """What makes an interrupted evaluation the same one, 32 hex digits."""
        model = self.engine.model.model_dump(mode="json", exclude={"batch_size", "threads", "adapter"})
        model["adapter"] = adapter_identity(self.engine.model)  # whatever lies in a folder tomorrow
        return _digest([self.request.trigger, model, asdict(self.recipe(self.ids)), package_versions()])[:32]

    @property
    def leaks(self) -> tuple[str, ...]:
        """What makes the score better than it should be, in plain words."""
        if not self.heard:
            return self.split_leaks
        own = f"{len(self.heard)} of {len(self.ids)} {PART} utterances are recordings or phrases that the model has learned from"
        return (*self.split_leaks, f"{own}: it may have learned them by heart")

    @property
    def lost_terms(self) -> tuple[str, ...]:
        """Terms of the lexicon that can be found in no normalized text: they count in no score."""
        return tuple(dict.fromkeys(one.term for one in unreachable_terms(self.lexicon, self.normalizer)))

    def recipe(self, scored: Iterable[str]) -> Recipe:
        """Give the recipe, from the ids of the utterances that were scored."""
        return Recipe(
            dataset=self.request.name or self.dataset.source,
            dataset_sha256=self.dataset.sha256,
            split=self.request.split,
            part=PART,
            utterances_sha256=_digest(sorted(scored)),
            normalizer=self.normalizer.id,
            lexicon_sha256=self.lexicon.sha256,
            decoding={
                "language": self.engine.model.language,
                "beams": self.engine.model.beams,
                "speech": self.engine.speech.model_dump(mode="json"),
            }
            | self._quality
            | self._bias,
        )

    @property
    def terms(self) -> str:
        """The name of the list of terms for all recordings; empty for none."""
        return next(iter(self.engine.term_lists.lists), "")

    @property
    def _bias(self) -> dict[str, Any]:
        """The list of terms, where there is one."""
        lists = self.engine.term_lists
        return {BIAS: asdict(lists) | {"lists": _digest(lists.lists)}} if lists.lists else {}

    @property
    def _quality(self) -> dict[str, Any]:
        """The figures from which a text is withheld; only where they were changed, so that older recipes stay the same."""
        mine, default = (one.model_dump(mode="json", exclude={_ONLY_MARKS}) for one in (self.engine.quality, Quality()))
        return {} if mine == default else {"quality": mine}


def plan_evaluation(
    config: Config, request: EvaluationRequest, *, progress: Callable[[int, int | None], None] | None = None
) -> EvaluationPlan:
    """Settle what is measured; ``progress`` hears how many entries of the dataset were read.

    Raise ConfigurationError without a dataset or for a list of terms that cannot be used, ModelError when the model is not installed,
    DatasetError when the dataset cannot be read or the split has nothing to test.
    """
    if not request.dataset:
        raise ConfigurationError(
            "there is nothing to measure on; name a dataset with --dataset, or set evaluation.dataset (docs/dataset.md)"
        )
    engine = _engine(config, request)
    dataset = load_dataset(request.dataset, cache=config.paths.datasets, progress=progress)
    split = split_utterances(dataset, request.split)
    ids = _limited(split.part(PART), request.limit)
    return EvaluationPlan(
        request=request,
        dataset=dataset,
        ids=ids,
        split_leaks=split.leaks.warnings(),
        heard=_heard(engine, dataset, ids),
        engine=engine,
        normalizer=text_normalizer(config.evaluation.normalizer),
        lexicon=load_lexicon(config.lexicon.extra),
    )


def plan_for(config: Config, plan: EvaluationPlan, model: str) -> EvaluationPlan:
    """The same evaluation of another model, by its name. Raise as :func:`plan_evaluation`."""
    request = replace(plan.request, model=model)
    engine = _engine(config, request)
    return replace(plan, request=request, engine=engine, heard=_heard(engine, plan.dataset, plan.ids))


def _engine(config: Config, request: EvaluationRequest) -> EngineOptions:
    """What the model child is told; its weights are installed."""
    engine = engine_options(config, request.model)
    locate(engine.models, engine.model.base)
    if request.bias is None:
        return engine
    return replace(engine, term_lists=term_lists(config.bias, {"evaluation": request.bias}))


def _heard(engine: EngineOptions, dataset: Dataset, ids: tuple[str, ...]) -> frozenset[str]:
    """The ids that the model's adapter has learned from, as far as it tells."""
    if not engine.model.adapter:
        return frozenset()
    wanted = set(ids)
    return read_heard(Path(engine.model.adapter)).overlap(one for one in dataset if one.id in wanted)


def _limited(ids: tuple[str, ...], limit: int | None) -> tuple[str, ...]:
    """So many of the ids, the same ones each time and not all of one speaker, whose ids often stand together."""
    if limit is None or limit >= len(ids):
        return ids
    return tuple(sorted(sorted(ids, key=_digest)[:limit]))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
