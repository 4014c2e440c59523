from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cnnreg.errors import GateError, PluginError
from cnnreg.exporting.budget import OutOfTimeError
from cnnreg.exporting.original import load_original
from cnnreg.files import file_digest
from cnnreg.images import normalise
from cnnreg.recipe import Recipe
from cnnreg.registry import Catalog, Entry
from cnnreg.run_data import data_of_run
from cnnreg.training.qat.fake_quant import fake_quantised, input_ranges
from cnnreg.training.qat.finetuning import EPOCHS, finetuned, gentle
from helpers import make_run, train


@pytest.fixture(scope="module")
def original(registry, tmp_path_factory):
    even = {"schedule": "constant", "learning_rate": 1e-3}
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3, **even)
    train(registry, run)
    return load_original(registry, run, data_of_run(registry, run))


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


def test_the_callers_random_streams_are_as_they_were(registry, original):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for _ in tune(registry, original):
        break
    assert torch.equal(torch.rand(3), expected)


def test_it_ends_where_the_time_is_up(registry, original):
    def on_step(progress):
        raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        next(iter(tune(registry, original, on_step)))


def uneven(weights):
    """The same network to a float, but 1 hidden unit in 5 outweighs the others 361 times."""
    torch.manual_seed(0)
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    scale = torch.where(torch.rand(len(weights["fc1.weight"])) < 0.8, 1 / 19, 19.0)
    weights["fc1.weight"] *= scale[:, None]
    weights["fc1.bias"] *= scale
    weights["fc2.weight"] /= scale
    return weights


def accuracy(original, weights, *, rounded=True):
    contract, known = original.model.contract, len(original.labels)
    images, samples = (
        torch.from_numpy(normalise(pixels, contract.mean, contract.std))
        for pixels in (original.images[:known], original.calibration)
    )
    model = original.build(weights)
    ranges = input_ranges(model, samples) if rounded else {}
    with torch.no_grad(), fake_quantised(model, ranges):
        return float((model(images).argmax(1).numpy() == original.labels).mean())


def test_what_rounding_breaks_is_mended(registry, original, one_thread):
    """And by learning to live with it: in float the network is no better than before."""
    weights = uneven(original.checkpoint.model)
    sound = accuracy(original, weights, rounded=False)
    assert sound > 0.8
    assert accuracy(original, weights) < sound - 0.4
    hard = replace(original, checkpoint=replace(original.checkpoint, model=weights))
    *_, last = tune(registry, hard)
    assert accuracy(hard, last) > sound - 0.15
    assert accuracy(hard, last, rounded=False) < sound + 0.02


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


def test_what_is_no_optimizer_is_its_plugins_fault(registry, original):
    name = original.run.config.recipe.optimizer
    broken = replace(registry.optimizers[name], build=lambda groups, recipe: object())
    catalog = Catalog("optimizer", [Entry(broken, registry.plugins[0])])
    with pytest.raises(PluginError, match=f"'{name}' is no torch.optim.Optimizer but object"):
        next(iter(tune(replace(registry, optimizers=catalog), original)))
