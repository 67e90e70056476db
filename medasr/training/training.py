"""A training from its material to a candidate: epochs, trials on what was decoded, checkpoints, and the choice at the end."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from medasr.errors import SteppedAside, TrainingError, TrainingFailure
from medasr.training.batches import Draft, Material, draw_epoch, make_batch
from medasr.training.candidate import average, complete_adapter, truncate, write_adapter
from medasr.training.checkpoint import adapter_tensors, last_checkpoint, restore, save_checkpoint
from medasr.training.lessons import keep_lessons, read_lessons, write_lessons
from medasr.training.loop import Trainee, learn, make_trainee
from medasr.training.notation import FindTerms, Notation, notation_of
from medasr.training.trial import Figures, Trial, Validation, best_epoch, choose, cost, measure
from medasr.whisper.manifest import AdapterManifest, Heard, write_durably
from medasr.whisper.model import load_model
from medasr.whisper.transcriber import load_transcriber

if TYPE_CHECKING:
    import torch

    from medasr.training.checkpoint import Checkpoint
    from medasr.training.examples import Example
    from medasr.training.lessons import Lesson
    from medasr.training.recipe import TrainingRecipe
    from medasr.whisper.model import LoadedModel, ModelOptions

#: A checkpoint is written at the end of each epoch, and after so many seconds without one.
CHECKPOINT_SECONDS = 120.0
CANDIDATE = "candidate"
#: Members of one training have seeds so far apart, so that trainings of neighbouring seeds share none.
_SEEDS_APART = 1_000_003
HISTORY = "history.json"


class Listener(Protocol):
    """Who hears how a training goes, and may ask it to make room."""

    def on_phase(self, name: str, done: int, total: int) -> None:
        """Hear what is being done beside steps: rehearsal, measuring the base, trials."""

    def on_step(self, step: int, steps: int, loss: float, seconds_left: float) -> None:
        """Hear of a step; ``seconds_left`` are those of the optimization."""

    def on_trial(self, trial: Trial, base: Figures) -> None:
        """Hear what an adapter wrote on validation."""

    def must_step_aside(self) -> bool:
        """Whether to write a checkpoint and end now, to be called again later."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """Everything a training needs; with the same task and folder it goes on where it was interrupted."""

    model: ModelOptions  #: the base without adapter, as it will serve; the recipe's precision is used for learning
    recipe: TrainingRecipe
    examples: Sequence[Example]
    practice: Sequence[Example] = ()
    rehearsal: Sequence[Example] = ()
    validation: Validation | None = None  #: None: all epochs are made, and the adapter is taken as it is
    find_terms: FindTerms = lambda _text: ()
    heard: Heard = field(default_factory=Heard)
    dataset: Mapping[str, Any] = field(default_factory=dict)  #: facts for the manifest
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What came of a training."""

    folder: Path
    manifest: AdapterManifest
    base: Figures | None  #: on validation
    trials: tuple[Trial, ...]
    chosen: Trial
    losses: tuple[float, ...]  #: of each step
    seconds: float  #: of work, interruptions not counted


@dataclass(kw_only=True)
class _Progress:
    """What a checkpoint keeps beside tensors."""

    member: int = 0  #: that learns now
    epoch: int = 0  #: of the next batch
    batch: int = 0
    losses: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  #: after how many steps each member but the last had learned
    trials: list[Trial] = field(default_factory=list)
    base: Figures | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> _Progress:
        trials = [Trial(**{**trial, "figures": Figures(**trial["figures"])}) for trial in state["trials"]]
        base = Figures(**state["base"]) if state["base"] else None
        return cls(**{**state, "trials": trials, "base": base})


def train(task: TrainingTask, folder: Path, listener: Listener, *, parts: int = 1) -> Candidate:
    """Train until the candidate is complete in ``folder/candidate``; ``parts`` is into how many pieces batches are cut at least.

    Raise SteppedAside when the listener asked for room, TrainingError when nothing can come of it, ModelError when the base cannot
    be loaded. Whatever ends it, the same call goes on from the last complete checkpoint; what has a candidate is not done again.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _Training(task, folder, listener, parts).run()


class _Training:
    def __init__(self, task: TrainingTask, folder: Path, listener: Listener, parts: int) -> None:
        self._parts = parts
        self._pace = 0.0
        self._steps = 0
        self._stepped = (
            False  #: since it was started: each start takes a step, or one that is disturbed often gets nowhere
        )
        self._task = task
        self._recipe = task.recipe
        self._folder = folder
        self._listener = listener
        self._progress = _Progress()
        self._working_since = self._saved_at = time.monotonic()

    def run(self) -> Candidate:
        checkpoint = last_checkpoint(self._folder)
        if checkpoint:
            try:
                self._progress = _Progress.from_json(checkpoint.state)
            except (TypeError, KeyError):  # another version of this program wrote it
                checkpoint = None
        if self._task.validation and self._progress.base is None:
            self._progress.base = self._measure(None)
        if not self._ended:
            self._optimize(checkpoint)
        return self._finish()

    @property
    def _ended(self) -> bool:
        """Whether all epochs are made, or so many brought nothing better that no more are."""
        progress = self._progress
        if not self._at_last_member:
            return False
        if progress.epoch >= self._recipe.epochs:
            return True
        if progress.base is None or not progress.trials:
            return False
        return progress.epoch - best_epoch(progress.base, progress.trials) >= self._recipe.patience

    @property
    def _at_last_member(self) -> bool:
        return self._progress.member >= self._recipe.members - 1

    def _optimize(self, checkpoint: Checkpoint | None) -> None:
        model = self._load()
        notation = notation_of(model, self._task.language, self._task.find_terms, self._recipe.term_weight)
        lessons: Sequence[Lesson] = ()
        if self._recipe.rehearsal_share and self._task.rehearsal:
            lessons, written = self._lessons(model, notation)
            if written:
                model = self._load()
        material = self._material(lessons)
        members = [self._member_recipe(member) for member in range(self._recipe.members)]
        drawn = [[draw_epoch(material, recipe, epoch) for epoch in range(recipe.epochs)] for recipe in members]
        self._steps = sum(len(batches) for plans in drawn for batches in plans)
        while not self._ended:
            recipe, plans = members[self._progress.member], drawn[self._progress.member]
            trainee = make_trainee(model, recipe, steps=sum(map(len, plans)))
            if checkpoint:
                restore(trainee, checkpoint)
                checkpoint = None
            trainee.parts = max(trainee.parts, self._parts)
            while self._progress.epoch < len(plans) and not self._ended:
                self._epoch(trainee, plans[self._progress.epoch], notation)
            model = replace(model, network=trainee.adapted.unload())
            if not self._at_last_member:
                self._progress.ends.append(len(self._progress.losses))
                self._progress.member, self._progress.epoch = self._progress.member + 1, 0

    def _material(self, lessons: Sequence[Lesson]) -> Material:
        with_terms = [bool(list(self._task.find_terms(one.text))) for one in self._task.practice]
        return Material(
            examples=self._task.examples,
            practice=[one for one, found in zip(self._task.practice, with_terms, strict=True) if found],
            everyday=[one for one, found in zip(self._task.practice, with_terms, strict=True) if not found],
            lessons=lessons,
        )

    def _member_recipe(self, member: int) -> TrainingRecipe:
        """The recipe with the seed of a member."""
        return replace(self._recipe, seed=self._recipe.seed + _SEEDS_APART * member)

    def _lessons(self, model: LoadedModel, notation: Notation) -> tuple[Sequence[Lesson], bool]:
        """What the base writes for speech to be rehearsed, kept on disk once it is written; and whether it was written now."""
        kept = self._folder / "lessons.safetensors"
        known = read_lessons(kept, self._task.rehearsal)
        if known is not None:
            return known, False
        lessons = write_lessons(
            model, self._task.rehearsal, notation, lambda done, of: self._listener.on_phase("rehearsal", done, of)
        )
        keep_lessons(kept, lessons)
        return lessons, True

    def _load(self) -> LoadedModel:
        return load_model(replace(self._task.model, precision=self._recipe.precision))

    def _epoch(self, trainee: Trainee, plan: Sequence[Sequence[Draft]], notation: Notation) -> None:
        """Take the steps that are left of an epoch, then try what came of it."""
        progress = self._progress
        while progress.batch < len(plan):
            if self._stepped and self._listener.must_step_aside():
                self._save(trainee)
                raise SteppedAside("the training makes room and will go on from its checkpoint")
            recipe = self._member_recipe(progress.member)
            chance = np.random.default_rng([recipe.seed, progress.epoch, progress.batch])
            batch = make_batch(plan[progress.batch], recipe, notation, chance)
            torch.manual_seed(int(chance.integers(2**31)))  # for dropout: a training that goes on drops the same
            began = time.monotonic()
            progress.losses.append(learn(trainee, batch, recipe))
            progress.batch += 1
            self._stepped = True
            step, steps = len(progress.losses), self._steps
            left = (steps - step) * self._seconds_a_step(began)
            self._listener.on_step(step, steps, progress.losses[-1], left)
            if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
                self._save(trainee)
        self._save(trainee)
        self._keep_epoch(trainee, progress.epoch + 1)
        if self._at_last_member:
            self._try(progress.epoch + 1)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self._save(trainee)

    def _seconds_a_step(self, began: float) -> float:
        """A running mean: windows differ in length by three."""
        last = time.monotonic() - began
        self._pace = 0.9 * (self._pace or last) + 0.1 * last
        return self._pace

    def _try(self, epoch: int) -> None:
        """Decode validation with what was learned up to an epoch, mixed with the base in the ways that the recipe names."""
        if self._task.validation is None or self._progress.base is None:
            return
        folder = self._folder / "trial"
        tensors = self._learned(epoch)
        trials = []
        for interpolation in self._recipe.interpolations:
            write_adapter(folder, tensors, self._task.model.base_id, self._recipe, interpolation)
            self._complete(folder, {}, {})
            trial = Trial(epoch=epoch, interpolation=interpolation, figures=self._measure(folder))
            trials.append(trial)
            self._listener.on_trial(trial, self._progress.base)
        self._progress.trials += trials
        shutil.rmtree(folder)

    def _complete(self, folder: Path, facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> AdapterManifest:
        return complete_adapter(
            folder,
            base=self._task.model,
            recipe=self._recipe,
            heard=self._task.heard,
            dataset=dict(self._task.dataset) | dict(facts),
            metrics=metrics,
            now=datetime.now(UTC),
        )

    def _measure(self, adapter: Path | None) -> Figures:
        """What the base, or the base with an adapter, writes on validation, in the precision in which it serves."""
        assert self._task.validation is not None  # noqa: S101 - asked for only with validation
        transcriber = load_transcriber(replace(self._task.model, adapter=adapter))
        name = "measuring the base" if adapter is None else "measuring the adapter"
        return measure(transcriber, self._task.validation, lambda done, of: self._listener.on_phase(name, done, of))

    def _save(self, trainee: Trainee) -> None:
        now = time.monotonic()
        self._progress.seconds += now - self._working_since
        self._working_since = self._saved_at = now
        save_checkpoint(self._folder, trainee, self._progress.as_json(), number=len(self._progress.losses))

    def _keep_epoch(self, trainee: Trainee, epoch: int) -> None:
        from safetensors.torch import save

        write_durably(self._epoch_file(self._progress.member, epoch), save(adapter_tensors(trainee)))

    def _epoch_file(self, member: int, epoch: int) -> Path:
        return self._folder / f"member-{member}-epoch-{epoch:02d}.safetensors"

    def _learned(self, epoch: int) -> dict[str, torch.Tensor]:
        """What all members have learned up to an epoch."""
        from safetensors.torch import load

        members = [load(self._epoch_file(member, epoch).read_bytes()) for member in range(self._recipe.members)]
        return truncate(average(members), self._recipe.kept_rank)

    def _finish(self) -> Candidate:
        progress = self._progress
        chosen = self._chosen()
        tensors = self._learned(chosen.epoch)
        folder = self._folder / CANDIDATE
        write_adapter(folder, tensors, self._task.model.base_id, self._recipe, chosen.interpolation)
        facts = {"epochs": chosen.epoch, "interpolation": chosen.interpolation}
        metrics = {"base": asdict(progress.base), "adapter": asdict(chosen.figures)} if progress.base else {}
        manifest = self._complete(folder, facts, metrics)
        write_durably(self._folder / HISTORY, json.dumps(progress.as_json()).encode())
        return Candidate(
            folder=folder,
            manifest=manifest,
            base=progress.base,
            trials=tuple(progress.trials),
            chosen=chosen,
            losses=tuple(progress.losses),
            seconds=progress.seconds,
        )

    def _chosen(self) -> Trial:
        progress = self._progress
        if progress.base is None or not progress.trials:
            return Trial(epoch=progress.epoch, interpolation=1.0)
        chosen = choose(progress.base, progress.trials)
        if not math.isfinite(cost(progress.base, chosen.figures)):
            raise TrainingError("nothing on validation could be scored; use another split", TrainingFailure.NO_DATA)
        return chosen
