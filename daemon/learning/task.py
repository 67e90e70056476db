"""From the configuration to what a training needs: data gathered and decoded, the base, and what trials are held against."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medasr.dataset.loading import load_dataset
from medasr.errors import ConfigurationError, TrainingError, TrainingFailure
from medasr.lexicon import find, load_lexicon
from medasr.packs import locate
from medasr.speech import SpeechOptions
from medasr.speech_sets import PRACTICE, REHEARSAL, SPEECH_LANGUAGE, path_of
from medasr.text.normalizers import text_normalizer

if TYPE_CHECKING:
    from daemon.config import Config
    from medasr.dataset.utterance import Dataset, Utterance
    from medasr.training.examples import Example
    from medasr.training.gathering import Gathered
    from medasr.training.recipe import TrainingRecipe
    from medasr.training.training import TrainingTask

#: Hears what is being done, how much is done, and of how much.
Progress = Callable[[str, int, int], None]

#: Of the speech to be rehearsed, every so many is held back to see whether general speech is forgotten.
_HELD_BACK_EVERY = 6
SAMPLES = "samples"


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What a training is asked to be; whatever is not said, the configuration says."""

    dataset: str
    split: str
    recipe: TrainingRecipe
    everything: bool = False  #: by hand: what the gate tests is learned from too


def training_request(
    config: Config, *, dataset: str | None = None, split: str | None = None, recipe: str | None = None
) -> TrainingRequest:
    """Complete a request from the configuration. Raise ConfigurationError when no dataset is named anywhere."""
    from medasr.training.gathering import ALL
    from medasr.training.recipe import recipe_named

    source = dataset or config.training.dataset or config.evaluation.dataset
    if not source:
        raise ConfigurationError(
            "there is nothing to learn from; name a dataset with --dataset, or set evaluation.dataset (docs/dataset.md)"
        )
    options = config.training
    preset = recipe_named(recipe or options.recipe)
    if preset.name == "medasr":
        chosen = (
            *("precision", "epochs", "learning_rate", "rank", "members", "batch_size", "shortest_context"),
            *("practice_share", "rehearsal_share"),
        )
        preset = replace(preset, **{name: getattr(options, name) for name in chosen})
        preset = replace(preset, alpha=2 * options.rank, kept_rank=2 * options.rank)
    return TrainingRequest(
        dataset=source,
        split=split or config.evaluation.split,
        recipe=replace(preset, seed=options.seed),
        everything=split == ALL,
    )


def training_key(config: Config, request: TrainingRequest, dataset: Dataset) -> str:
    """What makes an interrupted training the same one, 32 hex digits."""
    from medasr.training.candidate import package_versions

    base = locate(config.paths.models, config.model.base)
    reviewed, _ = _reviewed(config, lambda _what, _done, _total: None)
    tested = _tested(config, request, dataset)
    parts: list[Any] = [
        base.weights_sha256,
        dataset.sha256,
        [tested.sha256, config.evaluation.split] if tested else [],
        reviewed.sha256 if reviewed else "",
        [load_set(config, name).sha256 for name in (PRACTICE, REHEARSAL)],
        request.split,
        asdict(request.recipe),
        config.speech.model_dump(mode="json"),
        config.model.model_dump(mode="json", include={"precision", "device", "language", "beams"}),
        config.evaluation.normalizer,
        load_lexicon(config.lexicon.extra).sha256,
        package_versions(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def load_training_dataset(config: Config, request: TrainingRequest, progress: Progress) -> Dataset:
    """The dataset of a request; raise DatasetError when it cannot be read."""
    return load_dataset(
        request.dataset,
        cache=config.paths.datasets,
        progress=lambda done, of: progress("reading the dataset", done, of or 0),
    )


def prepare_task(
    config: Config, request: TrainingRequest, dataset: Dataset, folder: Path, progress: Progress
) -> TrainingTask:
    """Gather, check and decode everything into ``folder``.

    Raise TrainingError when the split leaks, or there is too little to learn from or to say; DatasetError and ModelError when data
    or base cannot be read.
    """
    from medasr.training.gathering import Need, apart_from, gather, require_enough, without_tested
    from medasr.training.training import TrainingTask
    from medasr.whisper.manifest import heard_of
    from medasr.whisper.model import ModelOptions

    lexicon = load_lexicon(config.lexicon.extra)
    normalizer = text_normalizer(config.evaluation.normalizer)
    gathered = gather(
        dataset,
        request.split,
        normalizer,
        workers=len(os.sched_getaffinity(0)),
        progress=lambda done, of: progress("measuring the recordings", done, of or 0),
    )
    if tested := _tested(config, request, dataset):
        gathered = apart_from(gathered, tested, config.evaluation.split)
    reviewed, utterances = _reviewed(config, progress)
    further = without_tested(utterances, gathered)
    need = Need(utterances=config.training.min_utterances, terms=config.training.min_terms)
    require_enough([*gathered.train, *further], lexicon, need, gathered.tested_elsewhere)
    bench = _Bench(config=config, folder=folder / SAMPLES, progress=progress)
    examples = bench.examples(dataset, gathered.train, "train")
    if reviewed and further:
        examples += bench.examples(reviewed, further, "reviewed")
    if not examples:
        raise TrainingError("nobody is heard to speak in the recordings to learn from", TrainingFailure.NO_DATA)
    practised = _practice(config, request, gathered)
    practice = bench.examples(load_set(config, PRACTICE), practised, PRACTICE) if practised else []
    rehearsal = bench.embedded(REHEARSAL) if request.recipe.rehearsal_share or gathered.validate else []
    base = locate(config.paths.models, config.model.base)
    model = config.model
    return TrainingTask(
        model=ModelOptions(
            path=base.path,
            base_id=base.name,
            base_revision=base.revision,
            base_sha256=base.weights_sha256,
            precision=model.precision,
            device=model.device,
            language=model.language,
            beams=model.beams,
            threads=model.threads,
        ),
        recipe=request.recipe,
        examples=examples,
        practice=practice,
        rehearsal=[one for place, one in enumerate(rehearsal) if place % _HELD_BACK_EVERY]
        if request.recipe.rehearsal_share
        else [],
        validation=_validation(bench, gathered, rehearsal[::_HELD_BACK_EVERY]),
        find_terms=lambda text: [(one.position, one.position + one.length) for one in find(lexicon, text)],
        heard=heard_of([*gathered.train, *gathered.validate, *further, *practised]),
        dataset=gathered.facts
        | {
            "reviewed": len(further),
            "practice": len(practice),
            "rehearsal": len(rehearsal) if request.recipe.rehearsal_share else 0,
            "minutes": round(sum(one.seconds for one in examples) / 60, 1),
        },
        language=model.language,
    )


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """Where recordings are decoded to, and what decides how their speech is found."""

    config: Config
    folder: Path
    progress: Progress

    def examples(self, dataset: Dataset, utterances: Sequence[Utterance], name: str) -> list[Example]:
        from medasr.training.examples import read_examples

        found, _ = read_examples(
            dataset,
            [one.id for one in utterances],
            self.folder / name,
            SpeechOptions(**self.config.speech.model_dump()),
            lambda done, of: self.progress("finding speech", done, of),
        )
        return found

    def embedded(self, name: str) -> list[Example]:
        """A set of speech that comes with medasr; it is in English, so it serves no other language."""
        if self.config.model.language != SPEECH_LANGUAGE:
            return []
        dataset = load_set(self.config, name)
        return self.examples(dataset, list(dataset), name)


def _practice(config: Config, request: TrainingRequest, gathered: Gathered) -> tuple[Utterance, ...]:
    """Invented sentences to practise; none that is validated or tested."""
    from medasr.training.gathering import without_tested

    if not request.recipe.practice_share or config.model.language != SPEECH_LANGUAGE:
        return ()
    return without_tested(list(load_set(config, PRACTICE)), gathered)


def load_set(config: Config, name: str) -> Dataset:
    """A set of speech that comes with medasr."""
    return load_dataset(str(path_of(name)), cache=config.paths.datasets)


def _tested(config: Config, request: TrainingRequest, dataset: Dataset) -> Dataset | None:
    """What the gate measures on, unless the split of what is learned from holds it back already, or everything is asked for by hand."""
    from medasr.training.gathering import ALL

    source = config.evaluation.dataset
    if not source or request.everything:
        return None
    tested = dataset if source == request.dataset else load_dataset(source, cache=config.paths.datasets)
    held_back = tested.sha256 == dataset.sha256 and request.split == config.evaluation.split != ALL
    return None if held_back else tested


def _reviewed(config: Config, progress: Progress) -> tuple[Dataset | None, list[Utterance]]:
    """Recordings whose texts a person corrected, where there are any; what a machine wrote alone is never learned from."""
    if not config.training.reviewed:
        return None, []
    dataset = load_dataset(
        config.training.reviewed,
        cache=config.paths.datasets,
        progress=lambda done, of: progress("reading what was reviewed", done, of or 0),
    )
    return dataset, list(dataset)


def _validation(bench: _Bench, gathered: Gathered, general: Sequence[Example]) -> Any:
    """What trials are held against; None where nothing was held back for it."""
    from medasr.training.trial import Validation

    if not gathered.validate:
        return None
    return Validation(
        examples=bench.examples(gathered.dataset, gathered.validate, "validate"),
        general=general,
        normalizer=text_normalizer(bench.config.evaluation.normalizer),
        lexicon=load_lexicon(bench.config.lexicon.extra),
        batch_size=bench.config.model.batch_size,
    )
