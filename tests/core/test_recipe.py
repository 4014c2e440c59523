"""Recipes: fields, TOML files and flags say the same."""

from __future__ import annotations

import json
import math

import pytest

from cnnreg.errors import UsageError
from cnnreg.recipe import CHOICES, Recipe, read_recipe, recipe_fields, recipe_from_data
from cnnreg.registry import load_registry
from cnnreg.specs import to_data
from helpers import cli

RECIPES = load_registry().recipes


def test_a_recipe_survives_json():
    recipe = Recipe(milestones=(0.25, 0.5), schedule="step", ema=0.9, precision="bf16")
    assert recipe_from_data(json.loads(json.dumps(to_data(recipe)))) == recipe


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_named_recipe_can_be_read(name):
    base = Recipe(seed=7, label_smoothing=0.05)
    recipe = read_recipe(RECIPES[name].path, base)
    assert recipe != base
    assert recipe.seed == 7  # what a file does not say stays as it was


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epoch = 3", "unknown recipe field 'epoch'; did you mean 'epochs'?"),
        ("epochs = 'three'", "recipe field epochs must be int"),
        ("epochs = 0", "epochs must be at least 1, not 0"),
        ("schedule = 'stairs'", "schedule must be one of constant, linear, cosine, one-cycle"),
        ("milestones = [0.5, 2]", "milestones must lie between 0 and 1"),
        ("milestones = 0.5", "recipe field milestones must be tuple"),
        ("epochs = ", "Not a recipe"),
        (f"epochs = {10**400}", "epochs must be at most 1e+09, not 1000"),
        (f"learning_rate = {10**400}", "recipe field learning_rate must be float, not 1000"),
        ("weight_decay = nan", "weight decay must be at least 0, not nan"),
        ("learning_rate = nan", "learning rate must be above 0"),
        ("batch_size = 8\naccumulate = 8", "leaves parts of fewer than 2 images"),
    ],
)
def test_what_a_file_must_not_say(tmp_path, content, said):
    path = tmp_path / "mine.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_recipe(path, Recipe())
    assert said in caught.value.what
    assert caught.value.where == str(path)


def test_a_file_of_windows_notepad_can_be_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbfepochs = 3\r\n")
    assert read_recipe(path, Recipe()).epochs == 3


@pytest.mark.parametrize("field", ["learning_rate", "weight_decay", "clip", "warmup", "mixup"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_numbers_must_be_finite_and_not_negative(field, value):
    with pytest.raises(ValueError, match="must be"):
        Recipe(**{field: value})


def test_flags_change_a_named_recipe_and_that_the_networks_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 1\nema = 0.5\nbatch_size = 32\nmilestones = [0.9]\n")
    options = ("--recipe", path, "--batch-size", "128", "--output", tmp_path / "run", "--json")
    code, _, err = cli("train", "mlp", *options)
    assert code == 0, err
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    chosen = {name: recipe[name] for name in ("epochs", "ema", "batch_size", "milestones")}
    assert chosen == {"epochs": 1, "ema": 0.5, "batch_size": 128, "milestones": [0.9]}


def test_a_file_may_spell_settings_as_flags(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("lr = 0.5\nbatch-size = 32\nmomentum = 0.7\n")
    recipe = read_recipe(path, Recipe())
    assert (recipe.learning_rate, recipe.batch_size, recipe.momentum) == (0.5, 32, 0.7)


def test_a_recipe_file_that_is_not_there_is_no_unknown_name(tmp_path):
    code, _, err = cli("train", "mlp", "--recipe", tmp_path / "mine.toml")
    assert code == 2
    assert "There is no such recipe file" in err


def test_an_unknown_recipe_names_the_nearest():
    code, _, err = cli("train", "mlp", "--recipe", "fats")
    assert code == 2
    assert "Did you mean fast?" in err


def test_every_setting_has_a_flag_and_says_what_it_is():
    code, out, _ = cli("train", "--help")
    assert code == 0
    for setting in recipe_fields():
        flag = {"learning_rate": "lr"}.get(setting.name, setting.name.replace("_", "-"))
        assert f"--{flag} " in out
        assert setting.metadata["help"].endswith(".")
    assert set(CHOICES) <= {setting.name for setting in recipe_fields()}


@pytest.mark.parametrize(
    ("recipe_fields", "patience"),
    [
        ({}, 0),
        ({"schedule": "constant"}, 5),
        ({"schedule": "plateau"}, 5),
        ({"schedule": "linear"}, 0),
        ({"schedule": "cosine"}, 0),
        ({"schedule": "one-cycle"}, 0),
        ({"schedule": "step"}, 0),
        ({"schedule": "cosine", "patience": 3}, 3),
        ({"patience": 0}, 0),
    ],
)
def test_patience_that_nobody_sets_goes_by_the_schedule(recipe_fields, patience):
    assert Recipe(**recipe_fields).with_patience().patience == patience


def test_a_plugins_recipe_in_whole_numbers_takes_fractions():
    assert recipe_from_data({"warmup": 2.5}, Recipe(warmup=2)).warmup == 2.5
