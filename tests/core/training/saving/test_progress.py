"""Progress: counting, and which epoch is the best."""

from __future__ import annotations

import json

import pytest

from cnnreg.recipe import Recipe
from cnnreg.training.saving.progress import Progress


def progress_of(*epochs: tuple[float, float]) -> Progress:
    """A progress whose epochs had these validation accuracies and losses."""
    progress = Progress()
    for accuracy, loss in epochs:
        progress.count(images=4, loss_sum=4.0, correct=2, seconds=0.5)
        progress.finish_epoch(
            learning_rate=0.1, val_loss=loss, val_accuracy=accuracy, val_seconds=0.1
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
    assert progress_of(*epochs).best.epoch == best


def test_no_epoch_is_best_while_no_loss_is_a_number():
    assert progress_of((0.9, float("nan"))).best is None


def test_means_are_over_images():
    progress = Progress()
    progress.count(images=6, loss_sum=6.0, correct=6, seconds=1.0)
    progress.count(images=2, loss_sum=10.0, correct=0, seconds=1.0)
    record = progress.finish_epoch(
        learning_rate=0.1, val_loss=1.0, val_accuracy=0.5, val_seconds=1.0
    )
    assert (record.train_loss, record.train_accuracy) == (2.0, 0.75)
    assert (record.images_per_second, record.seconds) == (4.0, 3.0)
    assert (progress.batch, progress.images, progress.step) == (0, 0, 2)


def test_patience_counts_epochs_since_the_best():
    recipe = Recipe(epochs=10, patience=2)
    assert not progress_of((0.5, 1.0), (0.4, 1.0)).finished(recipe)
    assert progress_of((0.5, 1.0), (0.4, 1.0), (0.4, 1.0)).finished(recipe)
    assert not progress_of((0.5, 1.0), (0.4, 1.0), (0.4, 1.0)).finished(Recipe(patience=0))


def test_patience_does_not_count_while_the_body_is_frozen():
    epochs = [(0.5, 1.0), (0.4, 1.0), (0.4, 1.0), (0.4, 1.0)]
    recipe = Recipe(epochs=10, patience=2, freeze=3)
    assert not progress_of(*epochs).finished(recipe)
    assert progress_of(*epochs, (0.4, 1.0)).finished(recipe)


def test_all_of_it_survives_json():
    progress = progress_of((0.5, 1.0 / 3), (0.6, 0.1))
    progress.count(images=3, loss_sum=0.1 + 0.2, correct=1, seconds=0.7)
    assert Progress.from_data(json.loads(json.dumps(progress.to_data()))) == progress
