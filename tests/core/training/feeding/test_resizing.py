"""Images that grow while a network learns."""

from __future__ import annotations

import pytest
import torch

from cnnreg.errors import UsageError
from cnnreg.recipe import Recipe
from cnnreg.training import step
from cnnreg.training.feeding import splits
from cnnreg.training.feeding.batches import Batch
from cnnreg.training.feeding.resizing import check_sizes, image_size, resized
from helpers import make_run, train


def test_sizes_grow_in_steps_of_four_and_end_whole():
    recipe = Recipe(epochs=10, start_size=0.5)
    sizes = [image_size(recipe, 32, step, 10) for step in range(100)]
    assert sizes == sorted(sizes)
    assert set(sizes) == {16, 20, 24, 28, 32}
    assert sizes.index(32) < 70
    assert image_size(recipe, 30, 99, 10) == 30


def test_no_start_size_no_change():
    batch = Batch(torch.rand(2, 3, 9, 7), torch.zeros(2), 2)
    assert resized(batch, Recipe(), 0, 10) is batch
    assert image_size(Recipe(), 7, 0, 10) == 7


def test_a_smaller_image_keeps_brightness_layout_and_labels():
    images = torch.rand(4, 3, 32, 24).to(memory_format=torch.channels_last)
    batch = Batch(images, torch.arange(4), 4)
    small = resized(batch, Recipe(start_size=0.5), 0, 10)
    assert small.images.shape == (4, 3, 16, 12)
    assert small.images.is_contiguous(memory_format=torch.channels_last)
    assert small.labels is batch.labels
    means = small.images.mean((2, 3)), images.mean((2, 3))
    torch.testing.assert_close(*means, rtol=0.02, atol=0)


def test_it_trains_on_growing_images_and_is_judged_on_whole_ones(registry, tmp_path, monkeypatch):
    seen = []
    forward = step.Step._forward
    monkeypatch.setattr(
        step.Step, "_forward", lambda self, x: (seen.append(x.shape[2]), forward(self, x))[1]
    )
    judged = []
    real = splits.evaluation_batches

    def watched(*arguments, **options):
        for batch in real(*arguments, **options):
            judged.append(batch.images.shape[2])
            yield batch

    monkeypatch.setattr(splits, "evaluation_batches", watched)
    settings = {"image_size": 16, "start_size": 0.5, "epochs": 1}
    train(registry, make_run(registry, tmp_path / "run", "resnet20", **settings))
    assert (seen[0], seen[-1]) == (8, 16)
    assert set(judged) == {16}


def test_whole_images_alone_are_compiled_for(registry, tmp_path, monkeypatch):
    """Each size would compile anew: more of them than torch allows end in no compilation."""
    seen = []

    def compiled(model):
        return lambda images: (seen.append(tuple(images.shape)), model(images))[1]

    monkeypatch.setattr(step, "_compile", compiled)
    monkeypatch.setattr("cnnreg.training.preparing.can_compile", lambda: True)
    settings = {"image_size": 16, "start_size": 0.5, "epochs": 1, "compile": "on"}
    train(registry, make_run(registry, tmp_path / "run", "resnet20", **settings))
    assert set(seen) == {(64, 1, 16, 16)}


def test_a_network_of_one_size_is_refused_before_the_work(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", start_size=0.5)
    with pytest.raises(UsageError, match="does not take images of 16x16"):
        train(registry, run)


def test_any_network_takes_whole_images():
    check_sizes(torch.nn.Linear(1, 1), Recipe(), (3, 32, 32))
