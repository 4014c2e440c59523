"""What is compared, and what may not change between two commands."""

from __future__ import annotations

import pytest

from cnnreg.comparing.plan import SWEPT, Plan, by_label, check_same, fixed_part, recipe_from_fixed
from cnnreg.data import DataConfig
from cnnreg.errors import UsageError
from cnnreg.recipe import Recipe
from cnnreg.specs import to_data
from comparisons import trial


def plan(**changes):
    fields = {
        "recipes": {
            "mlp": {"adam": Recipe(epochs=3), "sgd": Recipe(epochs=3)},
            "simple_cnn": {"adam": Recipe(epochs=4), "sgd": Recipe(epochs=4)},
        },
        "data": {"mnist": DataConfig(name="mnist"), "cifar10": DataConfig(name="cifar10")},
        "learning_rates": (0.1, 0.01),
        "seeds": 3,
    }
    return Plan(**{**fields, **changes})


def test_every_combination_once_and_the_seeds_outermost():
    trials = plan().trials()
    assert len(trials) == len({trial.name for trial in trials}) == 2 * 2 * 2 * 2 * 3
    assert [trial.seed for trial in trials] == sorted(trial.seed for trial in trials)
    assert len({trial.name.rpartition("-")[0] for trial in trials[:16]}) == 16


def test_without_rates_each_network_has_that_of_its_recipe():
    slow, usual = Recipe(learning_rate=3e-4), Recipe()
    recipes = {"mlp": {"adam": usual}, "vgg11": {"adam": slow, "sgd": usual}}
    trials = plan(recipes=recipes, learning_rates=()).trials()
    assert {(of.architecture, of.optimizer, of.learning_rate) for of in trials} == {
        ("mlp", "adam", 3e-3), ("vgg11", "adam", 3e-4), ("vgg11", "sgd", 3e-3),
    }  # fmt: skip


def test_a_trial_sets_only_what_is_compared():
    base = Recipe(epochs=3, label_smoothing=0.1)
    recipe = trial("sgd", 0.1, 2).recipe(base)
    assert (recipe.optimizer, recipe.learning_rate, recipe.seed) == ("sgd", 0.1, 2)
    assert fixed_part(recipe) == fixed_part(base)
    assert not set(SWEPT) & set(fixed_part(base))
    assert recipe_from_fixed(fixed_part(base)) == base


def test_rates_that_are_close_have_names_of_their_own():
    assert trial(rate=0.12345678).name != trial(rate=0.12345679).name
    assert trial(rate=1e-05).name == "mlp-digits-adam-1e-05-seed0"


def test_the_name_is_of_networks_and_data_and_never_too_long():
    others = {"mlp": {"momentum": Recipe()}, "simple_cnn": {"momentum": Recipe()}}
    assert plan().name == plan(recipes=others, seeds=9).name
    many = {f"network_number_{n}": {"adam": Recipe()} for n in range(20)}
    long = plan(recipes=many).name
    assert len(long) <= 80
    assert long != plan(recipes={**many, "mlp": {"adam": Recipe()}}).name


def test_folders_are_labelled_by_their_name(tmp_path):
    config = DataConfig(name="folder", folder=tmp_path / "my photos")
    assert list(by_label([config, DataConfig(name="mnist")])) == ["my_photos", "mnist"]
    with pytest.raises(UsageError, match="called 'my_photos'"):
        by_label([config, DataConfig(name="folder", folder=tmp_path / "other/my photos")])
    with pytest.raises(UsageError, match="called 'My_Photos'"):  # one folder on many disks
        by_label([config, DataConfig(name="folder", folder=tmp_path / "My Photos")])
    assert list(by_label([config, config])) == ["my_photos"]


def test_what_differs_is_said_and_where_data_lie_may_differ():
    ours = {"epochs": 3, "patience": 2, "downloads": "here", "folder": "x"}
    check_same("mlp", ours, {**ours, "downloads": "there", "folder": None})
    with pytest.raises(UsageError, match="mlp with epochs 5, not 3; patience 1, not 2") as caught:
        check_same("mlp", ours, {"epochs": 5, "patience": 1})
    assert "--output" in caught.value.hint


def test_a_field_newer_than_the_study_counts_as_its_default():
    ours = {**fixed_part(Recipe()), **to_data(DataConfig(name="mnist"))}
    theirs = {name: value for name, value in ours.items() if name not in {"ema", "resize"}}
    check_same("mlp", ours, theirs)
    with pytest.raises(UsageError, match=r"mlp with ema 0.0, not 0.9\."):
        check_same("mlp", {**ours, "ema": 0.9}, theirs)


def test_a_field_that_only_a_newer_version_knows_is_refused():
    ours = fixed_part(Recipe())
    with pytest.raises(UsageError, match="mlp with glow 3, not None"):
        check_same("mlp", ours, {**ours, "glow": 3})
    with pytest.raises(UsageError, match="another version of cnnreg: unknown recipe field 'glow'"):
        recipe_from_fixed({**ours, "glow": 3})
