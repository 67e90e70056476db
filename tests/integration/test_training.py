"""Learning with real weights: a few steps on the synthetic consultations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medasr.dataset.loading import load_dataset
from medasr.dataset.utterance import Dataset
from medasr.errors import TrainingError
from medasr.speech import SpeechOptions
from medasr.training.batches import IGNORED, Batch, Notation, Segment, epoch_batches, epoch_items
from medasr.training.examples import Example, read_examples
from medasr.training.loop import Trainee, make_trainee, train_epoch
from medasr.training.recipe import TrainingRecipe
from medasr.whisper.decoding import decoding_tokens
from medasr.whisper.model import LoadedModel, load_model
from tests.support.recordings import voice, write_wav
from tests.support.samples import SAMPLES, reference
from tests.support.whisper import sample, tiny_english

RECIPE = TrainingRecipe(precision="fp32", epochs=1, rank=4, alpha=8, batch_size=2, learning_rate=1e-3, empty_share=0.0)


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


def notation(model: LoadedModel) -> Notation:
    config = model.network.config
    tokens = decoding_tokens(model.network.generation_config, "en", config.max_target_positions)
    return Notation(
        tokenizer=model.tokenizer, tokens=tokens, mel_bins=config.num_mel_bins, limit=config.max_target_positions
    )


def learn(
    model: LoadedModel, examples: list[Example], recipe: TrainingRecipe, epochs: int
) -> tuple[Trainee, list[float]]:
    chance = np.random.default_rng(recipe.seed)
    trainee = make_trainee(model, recipe, steps=epochs * 2)
    written = notation(model)
    losses = [
        train_epoch(trainee, epoch_batches(examples, recipe, written, chance), recipe, lambda _step, _loss: None).loss
        for _ in range(epochs)
    ]
    return trainee, losses


class TestBatches:
    def test_a_text_stands_between_its_times(self, model: LoadedModel) -> None:
        written = notation(model)
        segments = (Segment(start=0.0, end=1.5, text="My knee hurts."), Segment(start=2.0, end=3.0, text="So it does."))
        text = model.tokenizer.decode(written.sequence(segments), decode_with_timestamps=True)
        assert text == ("<|startoftranscript|><|0.00|> My knee hurts.<|1.50|><|2.00|> So it does.<|3.00|><|endoftext|>")

    def test_noise_has_no_text(self, model: LoadedModel) -> None:
        text = model.tokenizer.decode(notation(model).sequence(()), decode_with_timestamps=True)
        assert text == "<|startoftranscript|><|0.00|><|endoftext|>"

    def test_every_example_is_seen_once_an_epoch(self, examples: list[Example]) -> None:
        recipe = replace(RECIPE, join_share=0.5)
        items = list(epoch_items(examples, recipe, np.random.default_rng(1)))
        texts = sorted(segment.text for item in items for segment in item.segments)
        assert texts == sorted(example.text for example in examples)
        assert all(item.seconds <= 28.0 for item in items)

    def test_windows_are_as_short_as_they_may_be(self, examples: list[Example], model: LoadedModel) -> None:
        recipe = replace(RECIPE, longer_share=0.0, join_share=0.0)
        batches = list(epoch_batches(examples, recipe, notation(model), np.random.default_rng(0)))
        assert {batch.features.shape[-1] for batch in batches} == {1000}
        for batch in batches:
            assert batch.inputs.shape == batch.targets.shape
            counted = batch.targets != IGNORED
            assert torch.equal(batch.targets[:, :-1][counted[:, :-1]], batch.inputs[:, 1:][counted[:, :-1]])


class TestLearning:
    def test_the_loss_falls(self, model: LoadedModel, examples: list[Example]) -> None:
        _, losses = learn(model, examples, RECIPE, epochs=4)
        assert losses[-1] < 0.7 * losses[0]

    def test_only_the_adapter_learns(self, model: LoadedModel, examples: list[Example]) -> None:
        before = {name: value.clone() for name, value in model.network.state_dict().items()}
        trainee, _ = learn(model, examples, RECIPE, epochs=1)
        after = {name.replace(".base_layer", ""): value for name, value in trainee.network.state_dict().items()}
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        assert any(bool(p.abs().sum() > 0) for name, p in trainee.adapted.named_parameters() if "lora_B" in name)

    def test_the_same_seed_gives_the_same_adapter(self, examples: list[Example]) -> None:
        first, second = (learn(load_model(tiny_english()), examples, RECIPE, epochs=1)[0] for _ in range(2))
        pairs = zip(first.adapted.named_parameters(), second.adapted.named_parameters(), strict=True)
        assert all(torch.equal(one, other) for (_, one), (_, other) in pairs)

    def test_four_bit_weights_are_trained_beside(self, examples: list[Example]) -> None:
        recipe = replace(RECIPE, precision="nf4")
        model = load_model(replace(tiny_english(), precision="nf4"))
        _, losses = learn(model, examples, recipe, epochs=4)
        assert losses[-1] < losses[0]

    def test_a_loss_that_is_no_number_ends_it(self, model: LoadedModel, examples: list[Example]) -> None:
        trainee = make_trainee(model, RECIPE, steps=2)
        (batch, *_) = epoch_batches(examples, RECIPE, notation(model), np.random.default_rng(0))
        broken = Batch(
            features=torch.full_like(batch.features, float("nan")),
            inputs=batch.inputs,
            targets=batch.targets,
            seconds=batch.seconds,
        )
        with pytest.raises(TrainingError, match="learning rate"):
            train_epoch(trainee, [broken], RECIPE, lambda _step, _loss: None)


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
