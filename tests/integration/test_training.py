"""Learning with real weights: a few steps on the synthetic consultations."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset
from medasr.errors import SteppedAside, TrainingError, TrainingFailure
from medasr.lexicon import find, load_lexicon
from medasr.speech import LONGEST_WINDOW_SECONDS, SpeechOptions
from medasr.text.normalizers import text_normalizer
from medasr.training.batches import IGNORED, Batch, Material, draw_epoch, make_batch
from medasr.training.candidate import average, write_adapter
from medasr.training.checkpoint import adapter_tensors, last_checkpoint, restore, save_checkpoint
from medasr.training.examples import Example, read_examples
from medasr.training.lessons import keep_lessons, read_lessons, write_lessons
from medasr.training.loop import Trainee, learn, make_trainee
from medasr.training.notation import Notation, Segment, notation_of
from medasr.training.recipe import TrainingRecipe
from medasr.training.training import TrainingTask, train
from medasr.training.trial import Figures, Trial, Validation
from medasr.types import SAMPLE_RATE
from medasr.whisper.adapter import apply_adapter
from medasr.whisper.manifest import Heard, verify_adapter
from medasr.whisper.model import LoadedModel, load_model
from tests.support.recordings import voice, write_wav
from tests.support.samples import SAMPLES, reference
from tests.support.whisper import sample, tiny_english

RECIPE = TrainingRecipe(
    precision="fp32",
    epochs=2,
    rank=4,
    alpha=8,
    batch_size=2,
    learning_rate=1e-3,
    join_share=0.0,
    empty_share=0.0,
    longer_share=0.0,
    acoustic_share=1.0,
    averaging=0.0,
    members=1,
    practice_share=0.0,
    rehearsal_share=0.0,
    beside_least=0,
    interpolations=(1.0, 0.5),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Pieces of a dictation that fit into a window, one that is silent, one that is too long."""
    folder = tmp_path_factory.mktemp("speech")
    waveform, _ = sample("dictation")
    lines = []
    for number in range(4):
        write_wav(folder / f"{number}.wav", waveform[number * 48000 : number * 48000 + 64000])
        lines.append({"audio": f"{number}.wav", "text": f"This is piece number {number}."})
    write_wav(folder / "silent.wav", np.zeros(32000, dtype=np.float32))
    write_wav(folder / "long.wav", np.concatenate([waveform, voice(1.0), waveform]))
    lines += [{"audio": "silent.wav", "text": "Nothing."}, {"audio": "long.wav", "text": "Very much."}]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_dataset(folder / "manifest.jsonl", cache=folder / "cache")


@pytest.fixture(scope="module")
def examples(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    found, excluded = read_examples(
        dataset, [one.id for one in dataset], tmp_path_factory.mktemp("samples"), SpeechOptions()
    )
    assert {one.id: str(one.reason) for one in excluded} == {"silent": "SILENT", "long": "TOO_LONG"}
    return found


@pytest.fixture
def model() -> LoadedModel:
    return load_model(tiny_english())


def batches(
    examples: list[Example], model: LoadedModel, recipe: TrainingRecipe = RECIPE, epochs: int = 1
) -> list[Batch]:
    written = notation_of(model, "en")
    return [
        make_batch(drafts, recipe, written, np.random.default_rng([recipe.seed, epoch, place]))
        for epoch in range(epochs)
        for place, drafts in enumerate(draw_epoch(Material(examples=examples), recipe, epoch))
    ]


def taught(
    model: LoadedModel, examples: list[Example], recipe: TrainingRecipe = RECIPE, epochs: int = 1
) -> tuple[Trainee, list[float]]:
    lessons = batches(examples, model, recipe, epochs)
    trainee = make_trainee(model, recipe, steps=len(lessons))
    return trainee, [learn(trainee, batch, recipe) for batch in lessons]


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class TestNotation:
    @pytest.fixture
    def notation(self, model: LoadedModel) -> Notation:
        return notation_of(model, "en")

    def test_a_text_stands_between_its_times(self, notation: Notation) -> None:
        segments = (Segment(start=0.0, end=1.5, text="My knee hurts."), Segment(start=2.0, end=3.0, text="So it does."))
        text = notation.tokenizer.decode(notation.sequence(segments).tokens, decode_with_timestamps=True)
        assert text == ("<|startoftranscript|><|0.00|> My knee hurts.<|1.50|><|2.00|> So it does.<|3.00|><|endoftext|>")

    def test_noise_has_no_text(self, notation: Notation) -> None:
        text = notation.tokenizer.decode(notation.sequence(()).tokens, decode_with_timestamps=True)
        assert text == "<|startoftranscript|><|0.00|><|endoftext|>"

    def test_the_tokens_of_a_term_weigh_more(self, model: LoadedModel) -> None:
        lexicon = load_lexicon()
        notation = notation_of(
            model, "en", lambda text: [(one.position, one.position + one.length) for one in find(lexicon, text)], 3.0
        )
        sequence = notation.sequence((Segment(start=0.0, end=2.0, text="Today my tinnitus is loud."),))
        heavy = [token for token, weight in zip(sequence.tokens, sequence.weights, strict=True) if weight == 3.0]
        assert notation.tokenizer.decode(heavy).strip() == "tinnitus"


class TestBatches:
    def test_windows_are_as_short_as_they_may_be(self, examples: list[Example], model: LoadedModel) -> None:
        for batch in batches(examples, model):
            assert batch.features.shape[-1] == 1000
            counted = batch.targets != IGNORED
            assert torch.equal(batch.targets[:, :-1][counted[:, :-1]], batch.inputs[:, 1:][counted[:, :-1]])
            assert bool(((batch.weights > 0) == counted).all())

    def test_parts_of_a_batch_are_the_batch(self, examples: list[Example], model: LoadedModel) -> None:
        (batch, *_) = batches(examples, model)
        parts = list(batch.parts(2))
        assert torch.equal(torch.cat([part.features for part in parts]), batch.features)
        assert sum(part.seconds for part in parts) == pytest.approx(batch.seconds)


class TestLearning:
    def test_the_loss_falls(self, model: LoadedModel, examples: list[Example]) -> None:
        _, losses = taught(model, examples, epochs=5)
        assert np.mean(losses[-2:]) < 0.8 * np.mean(losses[:2])

    def test_only_the_adapter_learns(self, model: LoadedModel, examples: list[Example]) -> None:
        before = {name: value.clone() for name, value in model.network.state_dict().items()}
        trainee, _ = taught(model, examples)
        after = {name.replace(".base_layer", ""): value for name, value in trainee.network.state_dict().items()}
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        assert any(bool(p.abs().sum() > 0) for name, p in trainee.adapted.named_parameters() if "lora_B" in name)

    def test_the_same_seed_gives_the_same_adapter(self, examples: list[Example]) -> None:
        first, second = (taught(load_model(tiny_english()), examples)[0] for _ in range(2))
        assert equal(adapter_tensors(first), adapter_tensors(second))

    def test_four_bit_weights_are_trained_beside(self, examples: list[Example]) -> None:
        model = load_model(replace(tiny_english(), precision="nf4"))
        _, losses = taught(model, examples, replace(RECIPE, precision="nf4"), epochs=4)
        assert losses[-1] < losses[0]

    def test_in_half_precision_pefts_casts_change_nothing_and_are_left_out(self, examples: list[Example]) -> None:
        learned = []
        for casts in (False, True):
            half = load_model(replace(tiny_english(), precision="bf16"))
            trainee = make_trainee(half, RECIPE, steps=2)
            layers = [layer for layer in trainee.adapted.modules() if isinstance(layer, BaseTunerLayer)]
            assert layers
            for layer in layers:
                assert not layer.cast_input_dtype_enabled
                layer.cast_input_dtype_enabled = casts
            for batch in batches(examples, half)[:2]:
                learn(trainee, batch, RECIPE)
            learned.append(adapter_tensors(trainee))
        assert equal(*learned)

    def test_a_batch_in_parts_teaches_the_same(self, examples: list[Example]) -> None:
        tensors = []
        for parts in (1, 2):
            model = load_model(tiny_english())
            trainee = make_trainee(model, RECIPE, steps=1)
            trainee.parts = parts
            learn(trainee, batches(examples, model)[0], RECIPE)
            tensors.append(adapter_tensors(trainee))
        assert all(torch.allclose(tensors[0][name], tensors[1][name], atol=2e-4) for name in tensors[0])

    def test_where_memory_does_not_suffice_the_batch_is_cut(self, model: LoadedModel, examples: list[Example]) -> None:
        def refuse(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            if len(inputs[0]) > 1:
                raise torch.OutOfMemoryError("a batch of two does not fit")

        model.network.model.encoder.conv1.register_forward_pre_hook(refuse)
        trainee, losses = taught(model, examples)
        assert trainee.parts == 2
        assert np.isfinite(losses).all()

    def test_memory_for_not_even_one_row_ends_it(self, model: LoadedModel, examples: list[Example]) -> None:
        def refuse(_module: torch.nn.Module, _inputs: tuple[torch.Tensor, ...]) -> None:
            raise torch.OutOfMemoryError("nothing fits")

        model.network.model.encoder.conv1.register_forward_pre_hook(refuse)
        with pytest.raises(TrainingError, match="smaller model") as error:
            taught(model, examples)
        assert error.value.failure is TrainingFailure.OUT_OF_MEMORY

    def test_a_loss_that_is_no_number_ends_it(self, model: LoadedModel, examples: list[Example]) -> None:
        trainee = make_trainee(model, RECIPE, steps=2)
        (batch, *_) = batches(examples, model)
        broken = replace(batch, features=torch.full_like(batch.features, float("nan")))
        with pytest.raises(TrainingError, match="learning rate") as error:
            learn(trainee, broken, RECIPE)
        assert error.value.failure is TrainingFailure.NOT_FINITE


class TestSharing:
    def encoder_changes(self, trainee: Trainee) -> list[float]:
        learned = adapter_tensors(trainee)
        return [
            float(value.abs().sum()) for name, value in learned.items() if "encoder.layers" in name and "lora_B" in name
        ]

    def test_from_a_batch_that_is_not_acoustic_only_the_decoder_learns(
        self, model: LoadedModel, examples: list[Example]
    ) -> None:
        trainee, _ = taught(model, examples, replace(RECIPE, acoustic_share=0.0))
        assert sum(self.encoder_changes(trainee)) == 0.0
        assert any(bool(value.abs().sum() > 0) for name, value in adapter_tensors(trainee).items() if "lora_B" in name)

    def test_how_machines_speak_is_not_learned(self, model: LoadedModel, examples: list[Example]) -> None:
        recipe = replace(RECIPE, practice_share=1.0)
        drafts = draw_epoch(Material(examples=examples, practice=examples), recipe, 0)
        made = [make_batch(one, recipe, notation_of(model, "en"), np.random.default_rng(0)) for one in drafts]
        assert sorted(batch.acoustic for batch in made) == [False, False, True, True]

    def test_the_average_lies_between_the_steps(self, examples: list[Example]) -> None:
        tensors = {}
        for averaging in (0.0, 0.9):
            trainee, _ = taught(load_model(tiny_english()), examples, replace(RECIPE, averaging=averaging), epochs=3)
            tensors[averaging] = adapter_tensors(trainee)
        last, averaged = (torch.cat([one[name].flatten() for name in sorted(one)]) for one in tensors.values())
        assert not torch.equal(last, averaged)
        assert averaged.norm() < 1.05 * last.norm()

    def test_the_mean_of_adapters_changes_the_base_by_the_mean_of_their_changes(
        self, examples: list[Example], tmp_path: Path
    ) -> None:
        members = []
        for seed in (0, 1):
            trainee, _ = taught(load_model(tiny_english()), examples, replace(RECIPE, seed=seed))
            members.append(adapter_tensors(trainee))
        stock = load_model(tiny_english()).network.state_dict()
        changes = []
        for number, (tensors, count) in enumerate([(members[0], 1), (members[1], 1), (average(members), 2)]):
            write_adapter(tmp_path / str(number), tensors, "whisper-tiny.en", replace(RECIPE, members=count), 1.0)
            network = load_model(tiny_english()).network
            apply_adapter(network, tmp_path / str(number), merge=True)
            name = "model.decoder.layers.1.fc2.weight"
            changes.append(network.state_dict()[name] - stock[name])
        assert torch.allclose(changes[2], (changes[0] + changes[1]) / 2, atol=1e-5)


class TestRehearsal:
    def test_a_lesson_is_what_the_base_writes(self, model: LoadedModel, examples: list[Example]) -> None:
        lessons = write_lessons(model, examples, notation_of(model, "en"))
        assert {one.id for lesson in lessons for one in lesson.examples} <= {example.id for example in examples}
        assert {len(lesson.examples) > 1 for lesson in lessons} == {False, True}
        for lesson in lessons:
            assert lesson.seconds <= LONGEST_WINDOW_SECONDS
            assert len(lesson.waveform()) == pytest.approx(lesson.seconds * SAMPLE_RATE, abs=len(lesson.examples))
            assert lesson.probabilities.sum(dim=-1).allclose(torch.ones(len(lesson.probabilities)))
            written = len(lesson.tokens) - len(notation_of(model, "en").tokens.prefix)
            assert lesson.likely.shape[0] == written
        texts = [model.tokenizer.decode(list(lesson.tokens), skip_special_tokens=True) for lesson in lessons]
        assert all(len(text.split()) > 3 for text in texts)

    def test_lessons_are_kept_and_read_again(self, model: LoadedModel, examples: list[Example], tmp_path: Path) -> None:
        assert read_lessons(tmp_path / "lessons", examples) is None
        lessons = write_lessons(model, examples, notation_of(model, "en"))
        keep_lessons(tmp_path / "lessons", lessons)
        again = read_lessons(tmp_path / "lessons", examples)
        assert again is not None
        for one, other in zip(lessons, again, strict=True):
            assert (one.examples, one.tokens) == (other.examples, other.tokens)
            assert torch.equal(one.likely, other.likely)
            assert torch.equal(one.probabilities, other.probabilities)
        (tmp_path / "lessons").write_bytes(b"torn")
        assert read_lessons(tmp_path / "lessons", examples) is None

    def test_the_base_is_imitated(self, examples: list[Example]) -> None:
        """Imitating one's own output at the full window changes little; a wrong text would change much."""
        model = load_model(tiny_english())
        notation = notation_of(model, "en")
        lessons = write_lessons(model, examples, notation)
        recipe = replace(RECIPE, shortest_context=30.0, batch_size=1, rehearsal_share=1.0, time_masks=0, mel_masks=0)
        drafts = [one for one in draw_epoch(Material(examples=examples, lessons=lessons), recipe, 0) if one[0].lesson]
        rehearsed = [make_batch(one, recipe, notation, np.random.default_rng(0)) for one in drafts]
        trainee = make_trainee(load_model(tiny_english()), recipe, steps=len(rehearsed))
        losses = [learn(trainee, batch, recipe) for batch in rehearsed]
        assert max(losses) < 1.0


class TestCheckpoints:
    def test_one_that_is_complete_is_restored_whole(
        self, model: LoadedModel, examples: list[Example], tmp_path: Path
    ) -> None:
        trainee, _ = taught(model, examples)
        save_checkpoint(tmp_path, trainee, {"epoch": 1}, number=2)
        checkpoint = last_checkpoint(tmp_path)
        assert checkpoint is not None
        assert checkpoint.state == {"epoch": 1}
        fresh = make_trainee(load_model(tiny_english()), RECIPE, steps=trainee.steps)
        restore(fresh, checkpoint)
        assert fresh.step == trainee.step
        assert equal(adapter_tensors(fresh), adapter_tensors(trainee))
        (batch, *_) = batches(examples, model)
        assert learn(fresh, batch, RECIPE) == learn(trainee, batch, RECIPE)
        assert equal(adapter_tensors(fresh), adapter_tensors(trainee))

    @pytest.mark.parametrize(
        "damage",
        ["manifest.json", "adapter.safetensors", "average.safetensors", "optimizer.safetensors", "state.json"],
    )
    def test_one_that_is_not_does_not_count(
        self, model: LoadedModel, examples: list[Example], tmp_path: Path, damage: str
    ) -> None:
        trainee, _ = taught(model, examples[:2])
        save_checkpoint(tmp_path, trainee, {}, number=2)
        (folder,) = tmp_path.iterdir()
        content = (folder / damage).read_bytes()
        (folder / damage).write_bytes(content[:-1])
        assert last_checkpoint(tmp_path) is None
        (folder / damage).unlink()
        assert last_checkpoint(tmp_path) is None

    def test_the_newest_is_kept_and_only_its_owner_may_read_it(
        self, model: LoadedModel, examples: list[Example], tmp_path: Path
    ) -> None:
        trainee = make_trainee(model, RECIPE, steps=3)
        for number in range(3):
            save_checkpoint(tmp_path, trainee, {}, number=number)
        (folder,) = tmp_path.iterdir()
        assert folder.name == "checkpoint-0000002.0"
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}

    def test_of_one_number_the_last_holds(self, model: LoadedModel, examples: list[Example], tmp_path: Path) -> None:
        trainee = make_trainee(model, RECIPE, steps=3)
        for state in ("before the trials", "after them"):
            save_checkpoint(tmp_path, trainee, {"state": state}, number=7)
        checkpoint = last_checkpoint(tmp_path)
        assert checkpoint is not None
        assert checkpoint.state == {"state": "after them"}

    def test_the_older_is_kept_until_the_newer_is_complete(
        self, model: LoadedModel, examples: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainee = make_trainee(model, RECIPE, steps=3)
        save_checkpoint(tmp_path, trainee, {"state": "whole"}, number=7)

        def full(path: Path, content: bytes) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
            patch.setattr("medasr.training.checkpoint.write_durably", full)
            save_checkpoint(tmp_path, trainee, {"state": "torn"}, number=7)
        checkpoint = last_checkpoint(tmp_path)
        assert checkpoint is not None
        assert checkpoint.state == {"state": "whole"}
        save_checkpoint(tmp_path, trainee, {"state": "next"}, number=8)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0000008.0"]


@dataclass(kw_only=True)
class Onlooker:
    """Hears everything, and asks for room after so many steps."""

    aside_after: int | None = None
    steps: list[int] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    def on_phase(self, name: str, done: int, total: int) -> None:
        assert done <= total

    def on_step(self, step: int, steps: int, loss: float, seconds_left: float) -> None:
        assert step <= steps
        assert seconds_left >= 0.0
        assert np.isfinite(loss)
        self.steps.append(step)

    def on_trial(self, trial: Trial, base: Figures) -> None:
        assert base.normalized_wer is not None
        self.trials.append(trial)

    def must_step_aside(self) -> bool:
        return self.aside_after is not None and len(self.steps) >= self.aside_after


class TestTraining:
    @pytest.fixture
    def task(self, examples: list[Example]) -> TrainingTask:
        return TrainingTask(
            model=tiny_english(),
            recipe=RECIPE,
            examples=examples,
            validation=Validation(
                examples=examples[:2],
                general=examples[2:3],
                normalizer=text_normalizer("clinical-en"),
                lexicon=load_lexicon(),
            ),
            heard=Heard(phrases=frozenset({"0" * 16})),
            dataset={"source": "pieces", "examples": len(examples)},
        )

    @pytest.fixture(scope="class")
    def whole(self, examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> str:
        """The adapter's hash after a training that nothing interrupted."""
        task = TrainingTask(model=tiny_english(), recipe=RECIPE, examples=examples)
        return train(task, tmp_path_factory.mktemp("whole"), Onlooker()).manifest.adapter_sha256

    def test_its_candidate_can_be_verified_and_served(self, task: TrainingTask, tmp_path: Path) -> None:
        onlooker = Onlooker()
        candidate = train(task, tmp_path, onlooker)
        manifest = verify_adapter(candidate.folder)
        assert manifest.shortest_context == 10.0
        assert manifest.metrics["base"]["normalized_wer"] is not None
        assert len(onlooker.trials) == len(RECIPE.interpolations) * RECIPE.epochs
        assert candidate.chosen in onlooker.trials
        served = load_model(replace(tiny_english(), adapter=candidate.folder))
        assert served.version.audio_context == "variable"
        assert served.version.adapter_sha256 == manifest.adapter_sha256

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_interrupted_anywhere_it_ends_with_the_same_adapter(
        self, examples: list[Example], whole: str, tmp_path: Path, steps: int
    ) -> None:
        task = TrainingTask(model=tiny_english(), recipe=RECIPE, examples=examples)
        with pytest.raises(SteppedAside):
            train(task, tmp_path, Onlooker(aside_after=steps))
        assert train(task, tmp_path, Onlooker()).manifest.adapter_sha256 == whole

    def test_members_learn_one_after_the_other_and_interrupted_the_same(
        self, examples: list[Example], tmp_path: Path
    ) -> None:
        recipe = replace(RECIPE, members=2, epochs=1, averaging=0.9, acoustic_share=0.5, dropout=0.1)
        task = TrainingTask(model=tiny_english(), recipe=recipe, examples=examples)
        whole = train(task, tmp_path / "whole", Onlooker())
        with pytest.raises(SteppedAside):
            train(task, tmp_path / "interrupted", Onlooker(aside_after=3))
        checkpoint = last_checkpoint(tmp_path / "interrupted")
        assert checkpoint is not None
        assert checkpoint.state["member"] == 1
        onlooker = Onlooker()
        resumed = train(task, tmp_path / "interrupted", onlooker)
        assert onlooker.steps == [4]
        train(task, tmp_path / "interrupted", onlooker)
        assert onlooker.steps == [4]
        assert resumed.manifest.adapter_sha256 == whole.manifest.adapter_sha256
        assert len(whole.losses) == 4
        for name in ("whole", "interrupted"):
            assert json.loads((tmp_path / name / "history.json").read_text())["ends"] == [2]
        config = json.loads((whole.folder / "adapter_config.json").read_text())
        assert (config["r"], config["lora_alpha"]) == (8, 16)

    def test_one_that_lost_its_checkpoint_starts_over(
        self, examples: list[Example], whole: str, tmp_path: Path
    ) -> None:
        task = TrainingTask(model=tiny_english(), recipe=RECIPE, examples=examples)
        with pytest.raises(SteppedAside):
            train(task, tmp_path, Onlooker(aside_after=2))
        for manifest in tmp_path.glob("checkpoint-*/manifest.json"):
            manifest.unlink()
        onlooker = Onlooker()
        assert train(task, tmp_path, onlooker).manifest.adapter_sha256 == whole
        assert onlooker.steps[0] == 1

    def test_each_start_takes_a_step_however_often_it_is_disturbed(
        self, examples: list[Example], tmp_path: Path
    ) -> None:
        task = TrainingTask(model=tiny_english(), recipe=RECIPE, examples=examples)
        for expected in range(1, 4):
            onlooker = Onlooker(aside_after=0)
            with pytest.raises(SteppedAside):
                train(task, tmp_path, onlooker)
            assert onlooker.steps == [expected]

    def test_a_checkpoint_of_another_version_does_not_count(
        self, examples: list[Example], whole: str, tmp_path: Path
    ) -> None:
        task = TrainingTask(model=tiny_english(), recipe=RECIPE, examples=examples)
        trainee = make_trainee(load_model(tiny_english()), RECIPE, steps=4)
        save_checkpoint(tmp_path, trainee, {"era": "another"}, number=2)
        assert train(task, tmp_path, Onlooker()).manifest.adapter_sha256 == whole

    def test_a_finished_one_is_not_made_again(self, examples: list[Example], tmp_path: Path) -> None:
        task = TrainingTask(model=tiny_english(), recipe=replace(RECIPE, epochs=1), examples=examples)
        first = train(task, tmp_path, Onlooker())
        onlooker = Onlooker()
        assert train(task, tmp_path, onlooker).manifest.adapter_sha256 == first.manifest.adapter_sha256
        assert onlooker.steps == []

    def test_epochs_that_bring_nothing_better_end_it(self, task: TrainingTask, tmp_path: Path) -> None:
        """A learning rate that teaches nothing: every trial is as good as the base, and the last that was made is kept."""
        recipe = replace(RECIPE, learning_rate=1e-12, epochs=6, patience=1)
        candidate = train(replace(task, recipe=recipe), tmp_path, Onlooker())
        assert candidate.chosen.epoch == 2
        assert len(candidate.trials) == 2 * len(RECIPE.interpolations)

    def test_half_an_adapter_changes_half_as_much(self, examples: list[Example], tmp_path: Path) -> None:
        trainee, _ = taught(load_model(tiny_english()), examples)
        tensors = adapter_tensors(trainee)
        stock = load_model(tiny_english()).network.state_dict()
        changes = []
        for share in (1.0, 0.5):
            write_adapter(tmp_path / str(share), tensors, "whisper-tiny.en", RECIPE, share)
            network = load_model(tiny_english()).network
            apply_adapter(network, tmp_path / str(share), merge=True)
            name = "model.decoder.layers.0.fc1.weight"
            changes.append(network.state_dict()[name] - stock[name])
        assert torch.allclose(changes[1], changes[0] / 2, atol=1e-5)


def test_the_samples_are_examples_of_more_than_one_window(tmp_path: Path) -> None:
    """Their text cannot be divided, so they are left out with a count."""
    folder = tmp_path / "samples"
    folder.mkdir()
    lines = []
    for one in SAMPLES:
        (folder / one.name).write_bytes(one.read_bytes())
        lines.append(json.dumps({"audio": one.name, "text": reference(one)}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    dataset = load_dataset(folder / "manifest.jsonl", cache=tmp_path / "cache")
    examples, excluded = read_examples(dataset, [one.id for one in dataset], tmp_path / "pcm", SpeechOptions())
    assert len(examples) + len(excluded) == len(SAMPLES)
    assert all(str(one.reason) == "TOO_LONG" for one in excluded)
