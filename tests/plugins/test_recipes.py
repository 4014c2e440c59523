"""The named recipes that come with the package."""

from __future__ import annotations

import pytest

from cnnreg.recipe import Recipe, read_recipe
from cnnreg.registry import load_registry
from helpers import make_run, train

RECIPES = load_registry().recipes
HIGH = 0.1  # a rate of SGD that only norms or clipping bear


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_high_rate_comes_with_clipping(name):
    recipe = read_recipe(RECIPES[name].path, Recipe())
    assert recipe.clip or recipe.learning_rate < HIGH


@pytest.mark.slow
def test_fast_trains_a_network_without_batch_norm(registry, tmp_path):
    recipe = read_recipe(RECIPES["fast"].path, Recipe()).plain()
    fields = {name: getattr(recipe, name) for name in Recipe.__dataclass_fields__}
    run = make_run(registry, tmp_path / "run", "simple_cnn", **fields)
    train(registry, run)
    assert run.result["test_accuracy"] > 0.97
