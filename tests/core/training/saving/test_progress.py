"""Progress: counting, and which epoch is the best."""

from __future__ import annotations

import json

import pytest

from cnnreg.recipe import Recipe
from cnnreg.training.saving.progress import Progress


def progress_of(*epochs: tuple[float, ...], images: int = 100, **settings) -> Progress:
    """A progress whose epochs had these validation accuracies and losses, and perhaps rates."""
    progress, recipe = Progress(), Recipe(**settings).with_patience()
    for accuracy, loss, *rate in epochs:
        progress.count(images=4, loss_sum=4.0, correct=2, seconds=0.5)
        progress.finish_epoch(
            recipe,
            learning_rate=rate[0] if rate else 0.1,
            val_loss=loss,
            val_accuracy=accuracy,
            val_images=images,
            val_seconds=0.1,
        )
    return progress


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),
        ([(0.5, 1.0), (0.9, float("nan")), (0.4, 0.1)], 1),
        ([(0.0, float("inf")), (0.0, 5.0)], 2),
    ],
)
def test_the_best_epoch(epochs, best):
    assert progress_of(*epochs, schedule="constant").best.epoch == best


@pytest.mark.parametrize(
    ("accuracies", "images", "settings", "best"),
    [
        ([0.6, 0.8, 0.74], 30, {}, 3),
        ([0.6, 0.8, 0.7], 30, {}, 2),
        ([0.8, 0.75, 0.7], 30, {}, 2),  # of the highest so far, not of the last that was kept
        ([0.6, 0.8, 0.78, 0.74], 1000, {}, 2),
        ([0.6, 0.8, 0.79], 1000, {}, 3),
        ([0.6, 0.8, 0.74], 30, {"patience": 3}, 2),
        ([0.6, 0.8, 0.74], 30, {"schedule": "constant"}, 2),
        ([0.6, 0.8, 0.74], 30, {"schedule": "plateau"}, 2),
    ],
)
def test_where_the_rate_comes_down_the_later_of_epochs_alike_is_best(
    accuracies, images, settings, best
):
    epochs = [(accuracy, 1.0 + epoch) for epoch, accuracy in enumerate(accuracies)]
    progress = progress_of(*epochs, images=images, **{"schedule": "cosine", **settings})
    assert progress.best.epoch == best


@pytest.mark.parametrize(
    ("later", "best"), [((0.78, 2.0, 0.09), 2), ((0.82, 2.0, 0.09), 3), ((0.78, 2.0, 0.0), 3)]
)
def test_a_rate_that_has_risen_again_must_bring_more(later, best):
    """Where a training that had ended goes on: its weights were the riper ones."""
    progress = progress_of((0.7, 1.0, 0.1), (0.8, 1.0, 0.01), later, images=30)
    assert progress.best.epoch == best


def test_an_accuracy_without_a_loss_is_nothing_to_come_up_to():
    epochs = (0.6, 1.0), (0.99, float("nan")), (0.59, 1.0)
    assert progress_of(*epochs, schedule="linear").best.epoch == 3


def test_no_epoch_is_best_while_no_loss_is_a_number():
    assert progress_of((0.9, float("nan"))).best is None


def test_means_are_over_images():
    progress = Progress()
    progress.count(images=6, loss_sum=6.0, correct=6, seconds=1.0)
    progress.count(images=2, loss_sum=10.0, correct=0, seconds=1.0)
    record = progress.finish_epoch(
        Recipe(), learning_rate=0.1, val_loss=1.0, val_accuracy=0.5, val_images=2, val_seconds=1.0
    )
    assert (record.train_loss, record.train_accuracy) == (2.0, 0.75)
    assert (record.images_per_second, record.seconds) == (4.0, 3.0)
    assert (progress.batch, progress.images, progress.step) == (0, 0, 2)


def test_patience_counts_epochs_since_the_best():
    recipe = Recipe(epochs=10, patience=2)
    assert not progress_of((0.5, 1.0), (0.4, 1.0)).finished(recipe)
    assert progress_of((0.5, 1.0), (0.4, 1.0), (0.4, 1.0)).finished(recipe)
    assert not progress_of((0.5, 1.0), (0.4, 1.0), (0.4, 1.0)).finished(Recipe(patience=0))


def test_patience_that_is_left_open_is_the_schedules():
    assert not Progress().finished(Recipe())
    waited = progress_of((0.7, 1.0), *5 * [(0.6, 1.1)], schedule="constant")
    assert waited.finished(Recipe(schedule="constant"))
    assert not waited.finished(Recipe(schedule="cosine"))
    assert Recipe().settles
    assert not Recipe(schedule="constant").settles


def test_patience_does_not_count_while_the_body_is_frozen():
    epochs = [(0.5, 1.0), (0.4, 1.0), (0.4, 1.0), (0.4, 1.0)]
    recipe = Recipe(epochs=10, patience=2, freeze=3)
    assert not progress_of(*epochs).finished(recipe)
    assert progress_of(*epochs, (0.4, 1.0)).finished(recipe)


def test_all_of_it_survives_json():
    progress = progress_of((0.5, 1.0 / 3), (0.6, 0.1))
    progress.count(images=3, loss_sum=0.1 + 0.2, correct=1, seconds=0.7)
    assert Progress.from_data(json.loads(json.dumps(progress.to_data()))) == progress
