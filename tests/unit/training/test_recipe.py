"""Presets, and how the learning rate runs."""

from __future__ import annotations

from itertools import pairwise

import pytest

from medasr.errors import ConfigurationError
from medasr.training.loop import learning_rate
from medasr.training.recipe import NOTEBOOK, TrainingRecipe, recipe_named


def test_the_notebooks_recipe_is_there_as_it_was() -> None:
    assert recipe_named("notebook") is NOTEBOOK
    assert (NOTEBOOK.rank, NOTEBOOK.alpha, NOTEBOOK.targets, NOTEBOOK.learning_rate) == (
        32,
        64,
        ("q_proj", "v_proj"),
        2e-5,
    )
    assert NOTEBOOK.shortest_context == 30.0


def test_an_unknown_one_is_refused_with_the_known() -> None:
    with pytest.raises(ConfigurationError, match="medasr, notebook"):
        recipe_named("miracle")


def test_the_rate_rises_then_falls_to_nothing() -> None:
    recipe = TrainingRecipe(learning_rate=1.0, warmup_share=0.1)
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(1 / 90)
