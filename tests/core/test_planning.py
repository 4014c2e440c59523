"""From what is asked for to what a run is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from cnnreg import Recipe
from cnnreg.data import DataConfig
from cnnreg.errors import PluginError
from cnnreg.planning import TUNED, fix, make_recipe, plan
from cnnreg.registry import Catalog, Entry, Registry
from cnnreg.run_data import data_of_run
from cnnreg.runs import PRETRAINED, RunConfig, create_run
from cnnreg.specs import IMAGENET_MOMENTS
from helpers import contract, photos

DATA = DataConfig(name="digits")
HALF = (0.5, 0.5, 0.5)


def planned(
    registry: Registry, name: str, *, channels: int = 3, weights: Path | str = ""
) -> RunConfig:
    dataset = SimpleNamespace(
        name="digits",
        classes=("a", "b"),
        image_shape=(channels, 32, 32),
        mean=(0.1,) * channels,
        std=(0.2,) * channels,
        fingerprint="",
    )
    return fix(registry, name, DATA, dataset, Recipe(), weights=weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["epochs = 'two'", None])
def test_a_recipe_that_a_plugin_broke_is_its_fault(registry, tmp_path, text):
    path = tmp_path / "mine.toml"
    if text:
        path.write_text(text)
    entry = registry.recipes.entries[0]
    spec = replace(entry.spec, name="mine", path=path)
    recipes = Catalog("recipe", [Entry(spec, replace(entry.plugin, name="theirs"))])
    with pytest.raises(PluginError, match="Recipe 'mine' of plugin 'theirs'") as caught:
        make_recipe(replace(registry, recipes=recipes), Recipe(), "mine", {})
    assert caught.value.where == str(path)


def tuned(registry: Registry, name: str | None = None, **flags) -> tuple[Recipe, list[str]]:
    said: list[str] = []
    own = registry.architectures["airbench94"].recipe
    return make_recipe(registry, own, name, flags, note=said.append), said


def test_what_a_recipe_is_tuned_to_is_not_for_another_optimizer(registry):
    recipe, said = tuned(registry, optimizer="adam")
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (3e-3, 0.9, 0.0)
    assert (recipe.epochs, recipe.start_size) == (12, 0.6)
    assert said == [
        "the recipe is for muon; with adam learning rate 0.003, not 0.014, "
        "momentum 0.9, not 0.6, weight decay 0, not 0.5, unless given"
    ]


def test_a_named_recipe_is_tuned_to_its_optimizer_too(registry):
    own = tuned(registry, "fast", optimizer="nesterov")[0]
    recipe, said = tuned(registry, "fast", optimizer="sgd", weight_decay=0.25)
    assert (recipe.learning_rate, recipe.weight_decay) == (0.1, 0.25)
    assert replace(recipe, **{field: getattr(own, field) for field in (*TUNED, "optimizer")}) == own
    assert said == [
        "the recipe is for muon and nesterov; with sgd learning rate 0.1, not 0.2, unless given"
    ]


def test_each_optimizer_has_a_usual_rate(registry):
    for name in registry.optimizers:
        recipe = make_recipe(registry, Recipe(), None, {"optimizer": name})
        assert recipe.learning_rate == registry.optimizers[name].learning_rate
    assert registry.optimizers["momentum"].learning_rate == 0.03


def test_what_is_given_with_another_optimizer_is_taken(registry, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("optimizer = 'adam'\nlr = 0.014\nmomentum = 0.6")
    recipe, said = tuned(registry, str(path), weight_decay=0.5)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.014, 0.6, 0.5)
    assert said == []


@pytest.mark.parametrize("flags", [{}, {"optimizer": "muon"}, {"epochs": 3}])
def test_with_its_own_optimizer_a_recipe_stays_what_it_is(registry, flags):
    recipe, said = tuned(registry, **flags)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.014, 0.6, 0.5)
    assert said == []


@pytest.mark.parametrize(
    ("text", "flags", "patience"),
    [
        ("schedule = 'cosine'", {}, 0),
        ("schedule = 'cosine'", {"schedule": "constant"}, 5),
        ("patience = 7", {"schedule": "cosine"}, 7),
        ("patience = 7", {"patience": 5, "schedule": "cosine"}, 5),
    ],
)
def test_patience_is_what_someone_set_or_else_goes_by_the_schedule(
    registry, tmp_path, text, flags, patience
):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    assert make_recipe(registry, Recipe(), str(path), flags).patience == patience


def test_a_run_is_told_its_patience_in_numbers(registry):
    assert planned(registry, "mlp").recipe.patience == 0


@pytest.mark.parametrize(
    ("name", "channels", "weights", "scale"),
    [
        ("googlenet", 3, PRETRAINED, (HALF, HALF)),
        ("resnet18", 3, PRETRAINED, IMAGENET_MOMENTS),
        ("resnet18", 1, PRETRAINED, ((0.1,), (0.2,))),
        ("resnet18", 3, "", ((0.1,) * 3, (0.2,) * 3)),
    ],
)
def test_published_weights_get_images_at_the_scale_of_their_training(
    registry, name, channels, weights, scale
):
    contract = planned(registry, name, channels=channels, weights=weights).contract
    assert (contract.mean, contract.std) == scale


@pytest.mark.parametrize("channels, scale", [(1, ((0.5,), (0.25,))), (3, ((0.1,) * 3, (0.2,) * 3))])
def test_a_checkpoints_weights_get_images_at_the_scale_of_their_training(
    registry, tmp_path, channels, scale
):
    """A folder of images may be darker than those that the weights were made with."""
    from cnnreg.training.saving.checkpoint import Checkpoint, save_checkpoint

    file = tmp_path / "w.safetensors"
    save_checkpoint(file, Checkpoint(contract(), {}))
    made = planned(registry, "mlp", channels=channels, weights=file).contract
    assert (made.mean, made.std) == scale
    run = create_run(replace(planned(registry, "mlp"), contract=contract()), folder=tmp_path / "r")
    made = planned(registry, "mlp", channels=channels, weights=run.folder).contract
    assert (made.mean, made.std) == scale


def test_weights_of_elsewhere_get_the_datas_own_scale(registry, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"no checkpoint")
    made = planned(registry, "mlp", weights=tmp_path / "w.safetensors").contract
    assert (made.mean, made.std) == ((0.1,) * 3, (0.2,) * 3)


def test_weights_to_start_from_are_found_from_any_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for weights in ("w.safetensors", tmp_path / "w.safetensors"):
        assert planned(registry, "mlp", weights=weights).weights == str(tmp_path / "w.safetensors")
    assert planned(registry, "mlp").weights == ""


def test_of_two_networks_that_a_model_could_not_tell_apart_none_is_trained(registry):
    entry = registry.architectures.entry("mlp")
    other = Entry(replace(entry.spec), replace(entry.plugin, name="other"))
    both = replace(registry, architectures=Catalog("architecture", [entry, other]))
    with pytest.raises(PluginError, match="offered by 'mlp' and 'other' of one package"):
        planned(both, "other:mlp")
    another = replace(other, plugin=replace(other.plugin, distribution="another"))
    apart = replace(registry, architectures=Catalog("architecture", [entry, another]))
    assert planned(apart, "other:mlp").contract.plugin.startswith("another ")


def test_what_weights_were_trained_on_is_not_tested_on_by_the_next_run(registry, tmp_path):
    """Although the folder has grown by a class, and by images of the old ones."""
    data = DataConfig(name="folder", folder=photos(tmp_path / "photos", 40))
    config, dataset = plan(registry, "mlp", data, Recipe())
    first = create_run(config, folder=tmp_path / "first")
    first.write_images(dataset)
    photos(data.folder, 50)
    photos(data.folder, 30, labels=("bird",))
    config, dataset = plan(registry, "mlp", data, Recipe(), weights=first.folder)
    places = first.places()
    held_out = [name for split in (dataset.val, dataset.test) for _, name in split.listing]
    assert len(held_out) > 20
    assert not [name for name in held_out if places.get(name) == {"train"}]
    again = create_run(config, folder=tmp_path / "second")  # killed before it kept the images
    assert data_of_run(registry, again).fingerprint == dataset.fingerprint


def test_weights_of_a_run_that_cannot_be_read_or_on_other_data_change_no_split(registry, tmp_path):
    data = DataConfig(name="folder", folder=photos(tmp_path / "photos", 40))
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(replace(config, data=DATA), folder=tmp_path / "run")
    run.write_images(dataset)
    other = replace(data, split_seed=5)
    expected = plan(registry, "mlp", other, Recipe())[0].data_fingerprint
    assert plan(registry, "mlp", other, Recipe(), weights=run.best)[0].data_fingerprint == expected
    (run.folder / "run.json").write_text("{")
    assert plan(registry, "mlp", other, Recipe(), weights=run.best)[0].data_fingerprint == expected


def test_images_are_grey_or_of_colour_as_the_weights_want_them(registry, tmp_path, monkeypatch):
    """Else the first layer would be left out, and the moments of the weights be lost."""
    for path in photos(tmp_path / "xrays", 10).rglob("*.png"):
        Image.open(path).convert("L").save(path)
    data = DataConfig(name="folder", folder=tmp_path / "xrays")
    assert plan(registry, "resnet18", data, Recipe())[1].image_shape[0] == 1
    config, dataset = plan(registry, "resnet18", data, Recipe(), weights=PRETRAINED)
    assert dataset.image_shape[0] == 3
    assert (config.contract.mean, config.contract.std) == IMAGENET_MOMENTS
    of_colour = create_run(config, folder=tmp_path / "run").folder
    config, dataset = plan(registry, "resnet18", data, Recipe(), weights=of_colour)
    assert dataset.image_shape[0] == 3


def test_classes_are_in_the_order_of_the_weights(registry, tmp_path):
    config, dataset = plan(registry, "mlp", DATA, Recipe())
    turned = replace(config.contract, classes=dataset.classes[::-1])
    folder = create_run(replace(config, contract=turned), folder=tmp_path / "run").folder
    config, again = plan(registry, "mlp", DATA, Recipe(), weights=folder)
    assert config.contract.classes == again.classes == dataset.classes[::-1]
    assert again.test.labels.tolist() == [9 - label for label in dataset.test.labels]
