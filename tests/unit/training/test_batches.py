"""What an epoch is drawn from and how it is cut; the audio itself is read in the integration tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medasr.training.batches import Draft, Material, draw_epoch
from medasr.training.examples import Example
from medasr.training.lessons import KEPT, Lesson
from medasr.training.recipe import NOTEBOOK, TrainingRecipe
from medasr.types import SpeechSpan
from medasr.whisper.context import context_seconds

RECIPE = TrainingRecipe()


def example(number: int, seconds: float = 4.0, kind: str = "dataset") -> Example:
    return Example(
        id=f"{kind}-{number}",
        samples=Path("never-read"),
        window=SpeechSpan(start=0.0, end=seconds),
        text=f"Sentence {number}.",
    )


def lesson(number: int) -> Lesson:
    one = torch.ones(1, KEPT)
    return Lesson(examples=(example(number, kind="rehearsal"),), tokens=(1, 2), likely=one.int(), probabilities=one)


EXAMPLES = [example(number, 1.0 + number % 9) for number in range(40)]
WITH_BOTH = Material(
    examples=EXAMPLES,
    practice=[example(number, kind="practice") for number in range(100)],
    lessons=[lesson(number) for number in range(100)],
)


def drawn(epoch: list[list[Draft]]) -> list[str]:
    return [one.id for batch in epoch for draft in batch for one in draft.examples]


class TestDrawing:
    def test_every_example_is_heard_once_an_epoch(self) -> None:
        epoch = draw_epoch(Material(examples=EXAMPLES), RECIPE, 0)
        assert sorted(drawn(epoch)) == sorted(one.id for one in EXAMPLES)

    def test_the_same_seed_and_epoch_give_the_same_batches(self) -> None:
        material = Material(examples=EXAMPLES)
        assert draw_epoch(material, RECIPE, 1) == draw_epoch(material, RECIPE, 1)
        assert draw_epoch(material, RECIPE, 1) != draw_epoch(material, RECIPE, 2)
        assert draw_epoch(material, RECIPE, 1) != draw_epoch(material, replace(RECIPE, seed=1), 1)

    def test_practice_and_rehearsal_come_in_their_shares(self) -> None:
        epoch = draw_epoch(WITH_BOTH, replace(RECIPE, practice_share=0.5, rehearsal_share=0.25, beside_least=0), 0)
        assert sum(name.startswith("practice") for name in drawn(epoch)) == 20
        lessons = [draft.lesson.examples[0].id for batch in epoch for draft in batch if draft.lesson]
        assert len(lessons) == len(set(lessons)) == 10

    def test_beside_few_examples_there_is_still_so_much_of_both(self) -> None:
        epoch = draw_epoch(WITH_BOTH, replace(RECIPE, practice_share=0.5, rehearsal_share=0.25, beside_least=30), 0)
        assert sum(name.startswith("practice") for name in drawn(epoch)) == 30
        assert sum(draft.lesson is not None for batch in epoch for draft in batch) == 30

    def test_a_share_of_the_practice_is_everyday_talk(self) -> None:
        material = Material(
            examples=EXAMPLES,
            practice=[example(number, kind="practice") for number in range(100)],
            everyday=[example(number, kind="everyday") for number in range(100)],
        )
        recipe = replace(RECIPE, practice_share=0.5, everyday_share=0.25, beside_least=0)
        names = drawn(draw_epoch(material, recipe, 0))
        assert [sum(name.startswith(kind) for name in names) for kind in ("practice", "everyday")] == [15, 5]
        names = drawn(draw_epoch(replace(material, practice=()), recipe, 0))
        assert sum(name.startswith("everyday") for name in names) == 20

    def test_without_a_share_there_is_none_of_it(self) -> None:
        material = Material(examples=EXAMPLES, practice=[example(1, kind="practice")], lessons=[lesson(1)])
        epoch = draw_epoch(material, replace(RECIPE, practice_share=0.0, rehearsal_share=0.0, beside_least=30), 0)
        assert not any(draft.lesson or "practice-1" in drawn([[draft]]) for batch in epoch for draft in batch)

    def test_all_of_a_small_set_is_taken_before_any_comes_twice(self) -> None:
        material = Material(examples=EXAMPLES, practice=[example(number, kind="practice") for number in range(15)])
        epoch = draw_epoch(material, replace(RECIPE, practice_share=1.0, beside_least=0), 0)
        counts = [drawn(epoch).count(f"practice-{number}") for number in range(15)]
        assert sum(counts) == 40
        assert max(counts) - min(counts) <= 1

    def test_some_rows_are_noise_without_text(self) -> None:
        epoch = draw_epoch(Material(examples=EXAMPLES), replace(RECIPE, empty_share=0.5), 0)
        assert any(not draft.examples and draft.lesson is None for batch in epoch for draft in batch)

    def test_the_notebook_gets_its_examples_and_nothing_else(self) -> None:
        epoch = draw_epoch(Material(examples=EXAMPLES), NOTEBOOK, 0)
        assert all(len(draft.examples) == 1 for batch in epoch for draft in batch)
        assert max(map(len, epoch)) == NOTEBOOK.batch_size

    def test_without_anything_there_is_no_batch(self) -> None:
        assert draw_epoch(Material(examples=[]), RECIPE, 0) == []


class TestCutting:
    @given(
        st.lists(st.floats(0.3, 27.5), min_size=1, max_size=60),
        st.integers(1, 16),
        st.floats(0.0, 1.0),
    )
    def test_no_batch_costs_more_than_the_shortest_windows_would(
        self, lengths: list[float], batch_size: int, join_share: float
    ) -> None:
        recipe = replace(RECIPE, batch_size=batch_size, join_share=join_share, empty_share=0.0)
        epoch = draw_epoch(
            Material(examples=[example(number, seconds) for number, seconds in enumerate(lengths)]), recipe, 0
        )
        budget = batch_size * recipe.shortest_context
        for batch in epoch:
            longest = max(draft.seconds for draft in batch) / min(recipe.speeds)
            assert len(batch) == 1 or len(batch) * context_seconds(longest, recipe.shortest_context) <= budget

    def test_the_share_that_is_joined_is_that_of_the_examples_not_of_the_windows(self) -> None:
        many = [example(number, 3.0) for number in range(4000)]
        recipe = replace(RECIPE, join_share=0.35, empty_share=0.0)
        epoch = draw_epoch(Material(examples=many), recipe, 0)
        joined = sum(len(draft.examples) for batch in epoch for draft in batch if len(draft.examples) > 1)
        assert joined / 4000 == pytest.approx(0.35, abs=0.05)

    def test_joined_rows_fit_into_a_window_at_the_slowest_speed(self) -> None:
        recipe = replace(RECIPE, join_share=1.0)
        for batch in draw_epoch(Material(examples=EXAMPLES), recipe, 0):
            for draft in batch:
                spoken = sum(one.seconds for one in draft.examples) / min(recipe.speeds)
                assert spoken + 1.5 * (len(draft.examples) - 1) <= 28.0 or len(draft.examples) == 1

    @pytest.mark.parametrize("batch_size", [1, 8])
    def test_short_rows_fill_a_batch(self, batch_size: int) -> None:
        recipe = replace(RECIPE, batch_size=batch_size, join_share=0.0, empty_share=0.0)
        epoch = draw_epoch(Material(examples=[example(number, 2.0) for number in range(16)]), recipe, 0)
        assert {len(batch) for batch in epoch} == {batch_size}
