"""What training brings on speakers and phrases that were not trained on: stock, our recipe and the notebook's, in one run.

Leave-speakers-out folds over the medical recordings: each fold tests all recordings of some speakers, and trains on those of the others
that share no phrase with them. Nothing of a fold chooses anything: all epochs are made, and the adapter is taken as it
is. All models serve as they would: their own windows, the precision of this machine. Pooled over the folds each recording is
tested once. The speech unlike the training data and the joined recordings are tested in every fold. The notebook's recipe, which takes
windows of 30 s and five epochs, is trained in one fold only, and held against stock on the same recordings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.comparison import AccuracyFigures
from benchmarks.examination import Examination
from benchmarks.figures import tell
from benchmarks.folds import FOLDS, leave_speakers_out
from benchmarks.options import CACHE, Options, cores, installed
from benchmarks.scores import Scored, pool
from benchmarks.speech import MEDICAL_SPEECH
from daemon.config import Config
from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset
from medasr.lexicon import find, load_lexicon
from medasr.speech import SpeechOptions
from medasr.speech_sets import PRACTICE, REHEARSAL, UNLIKE, path_of
from medasr.training.examples import Example, read_examples
from medasr.training.recipe import TrainingRecipe
from medasr.training.training import TrainingTask, train
from medasr.training.trial import Figures, Trial
from medasr.whisper.model import ModelOptions
from medasr.whisper.transcriber import load_transcriber

#: In which the notebook's recipe is trained.
NOTEBOOK_FOLD = 0


def measure(options: Options) -> list[AccuracyFigures]:
    if not (MEDICAL_SPEECH / "overview-of-recordings.csv").is_file():
        tell("the medical recordings are not at hand: nothing is measured")
        return []
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        return [_Course(model, Path(name), options).run() for model in options.models if model == "whisper-base"]


class _Course:
    """All folds of one base."""

    def __init__(self, model: str, folder: Path, options: Options) -> None:
        self._folder = folder
        self._model = model
        self._options = options
        self._speech = SpeechOptions()
        self._lexicon = load_lexicon()
        self._examination = Examination(self._speech, self._lexicon)
        base = installed(model)
        self._base = ModelOptions(
            path=base.path,
            base_id=base.name,
            base_revision=base.revision,
            base_sha256=base.weights_sha256,
            device="cpu",
            threads=cores(),
        )

    def run(self) -> AccuracyFigures:
        dataset = load_dataset(str(MEDICAL_SPEECH), cache=CACHE / "datasets")
        examples = self._read(dataset, "medical")
        speakers = {one.id: one for one in dataset}
        sets = {name: self._read(self._set(name), name) for name in (PRACTICE, REHEARSAL, UNLIKE)}
        recipes = {"ours": _configured(), "notebook": _notebook()}
        written: dict[str, list[Scored]] = {name: [] for name in ("stock", *recipes)}
        folds = leave_speakers_out(list(dataset))[: self._options.pick(FOLDS, 1)]
        for number, (tested, trained) in enumerate(folds):
            test, learned = ([one for one in examples if one.id in ids] for ids in (tested, trained))
            for name, parts in written.items():
                if name == "notebook" and number != NOTEBOOK_FOLD:
                    continue
                tell(f"fold {number + 1} of {len(folds)}, {name}")
                adapter, seconds = None, 0.0
                if name in recipes:
                    began = time.monotonic()
                    adapter = self._train(recipes[name], learned, sets, self._folder / f"{number}-{name}")
                    seconds = time.monotonic() - began
                transcriber = load_transcriber(replace(self._base, adapter=adapter))
                parts.append(self._examination.score(name, transcriber, test, sets[UNLIKE], speakers, seconds))
        pooled = {name: pool(name, parts) for name, parts in written.items()}
        return AccuracyFigures(model=self._model, stock=pooled["stock"], others=tuple(pooled[name] for name in recipes))

    def _set(self, name: str) -> Dataset:
        return load_dataset(str(path_of(name)), cache=CACHE / "datasets")

    def _read(self, dataset: Dataset, name: str) -> list[Example]:
        found, _ = read_examples(dataset, [one.id for one in dataset], self._folder / name, self._speech)
        return found

    def _train(
        self, recipe: TrainingRecipe, learned: Sequence[Example], sets: dict[str, list[Example]], folder: Path
    ) -> Path:
        task = TrainingTask(
            model=self._base,
            recipe=recipe,
            examples=learned,
            practice=sets[PRACTICE] if recipe.practice_share else (),
            rehearsal=sets[REHEARSAL] if recipe.rehearsal_share else (),
            find_terms=lambda text: [(one.position, one.position + one.length) for one in find(self._lexicon, text)],
        )
        return train(task, folder, _Silent()).folder


class _Silent:
    """A listener that says nothing and never wants room."""

    def on_phase(self, name: str, done: int, total: int) -> None: ...

    def on_step(self, step: int, steps: int, loss: float, seconds_left: float) -> None:
        if step % 10 == 0 and seconds_left >= 0.0:
            tell(f"  step {step} of {steps}, loss {loss:.3f}")

    def on_trial(self, trial: Trial, base: Figures) -> None: ...

    def must_step_aside(self) -> bool:
        return False


def _configured() -> TrainingRecipe:
    """The recipe as the default configuration makes it."""
    from daemon.learning.task import training_request

    return training_request(Config(), dataset="here").recipe


def _notebook() -> TrainingRecipe:
    """The notebook's, in the precision of this machine: 4 bits are slow on a processor and change little."""
    from medasr.training.recipe import NOTEBOOK

    return replace(NOTEBOOK, precision="auto")
