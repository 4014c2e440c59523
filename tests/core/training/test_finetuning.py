from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cnnreg.budget import OutOfTimeError
from cnnreg.errors import GateError
from cnnreg.files import file_digest
from cnnreg.original import load_original
from cnnreg.recipe import Recipe
from cnnreg.training.finetuning import EPOCHS, finetuned, gentle
from helpers import make_run, train


@pytest.fixture(scope="module")
def original(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, run)
    return load_original(registry, run, run.open_data(registry))


def tune(registry, original, on_step=lambda progress: None):
    recipe = original.run.config.recipe
    return finetuned(
        registry, original.checkpoint, recipe, original.dataset, original.calibration,
        on_step=on_step,
    )  # fmt: skip


def test_equal_each_time_and_the_run_stays_as_it_was(registry, original, one_thread):
    files = [path for path in original.run.folder.iterdir() if path.is_file()]
    before = [file_digest(path) for path in files]
    first, again = (list(tune(registry, original)) for _ in range(2))
    assert len(first) == EPOCHS
    for weights, same in zip(first, again, strict=True):
        assert weights.keys() == original.checkpoint.model.keys()
        assert all(torch.equal(weights[name], same[name]) for name in weights)
    changed = [not torch.equal(first[0][n], t) for n, t in original.checkpoint.model.items()]
    assert any(changed)
    original.build(first[0])
    assert [file_digest(path) for path in files] == before


def test_it_ends_where_the_time_is_up(registry, original):
    def on_step(progress):
        raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        next(iter(tune(registry, original, on_step)))


def test_the_recipe_is_the_runs_with_a_small_rate():
    run = Recipe(learning_rate=0.1, augment="crop", mixup=0.2, seed=7, ema=0.99, warmup=2)
    recipe = gentle(run)
    assert (recipe.augment, recipe.mixup, recipe.seed) == ("crop", 0.2, 7)
    assert recipe.learning_rate < run.learning_rate / 10
    assert (recipe.ema, recipe.warmup, recipe.epochs) == (0, 0, EPOCHS)


def test_without_the_runs_optimizer_it_cannot_begin(registry, original):
    recipe = replace(original.run.config.recipe, optimizer="elsewhere")
    run = replace(original.run, config=replace(original.run.config, recipe=recipe))
    with pytest.raises(GateError, match="optimizer, elsewhere, is not installed"):
        next(iter(tune(registry, replace(original, run=run))))
