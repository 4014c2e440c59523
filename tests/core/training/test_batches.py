"""Batches: every image once, in a reproducible order, augmented independently of its batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cnnreg.errors import UsageError
from cnnreg.images import normalise
from cnnreg.training.augment import augmentation, crop
from cnnreg.training.batches import Normalise, TrainingBatches, evaluation_batches

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def batches(count: int = 50, *, batch_size: int = 8, seed: int = 3, augment: str = "none"):
    pixels = np.arange(count * 8 * 8 * 3, dtype=np.uint8).reshape(count, 8, 8, 3)
    return TrainingBatches(
        pixels,
        np.arange(count, dtype=np.int64),
        batch_size=batch_size,
        seed=seed,
        augment=augment,
        normalise=Normalise(MEAN, STD),
    )


def labels(made: TrainingBatches, epoch: int, start: int = 0) -> list[int]:
    return [int(x) for batch in made.epoch(epoch, start=start) for x in batch.labels]


def test_an_epoch_shows_every_image_once_and_epochs_differ():
    made = batches()
    assert sorted(labels(made, 0)) == list(range(50))
    assert labels(made, 0) != labels(made, 1)


def test_the_order_depends_on_seed_and_epoch_alone():
    torch.manual_seed(1)
    first = labels(batches(), 4)
    torch.rand(17)
    assert labels(batches(), 4) == first
    assert labels(batches(seed=4), 4) != first


def test_an_epoch_can_go_on_from_any_batch():
    made = batches()
    assert labels(made, 2, start=3) == labels(made, 2)[24:]


@pytest.mark.parametrize("name", ["crop", "crop-flip"])
def test_augmentation_of_an_image_does_not_depend_on_its_batch(name):
    by_label = []
    for size in (8, 5):
        seen = {}
        for batch in batches(batch_size=size, augment=name).epoch(1):
            seen |= dict(zip(batch.labels.tolist(), batch.images, strict=True))
        by_label.append(seen)
    first, second = by_label
    assert all(torch.equal(first[label], second[label]) for label in range(50))


def test_a_last_batch_of_one_is_merged_into_the_one_before():
    made = batches(17)
    assert [len(batch.labels) for batch in made.epoch(0)] == [8, 9]
    assert len(made) == 2


def test_normalise_equals_the_one_without_torch():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 7, 5, 3), dtype=np.uint8)
    ours = Normalise(MEAN, STD)(torch.from_numpy(pixels))
    np.testing.assert_allclose(ours.numpy(), normalise(pixels, MEAN, STD), atol=2e-6)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_evaluation_keeps_the_order():
    pixels = np.zeros((10, 4, 4, 3), np.uint8)
    made = evaluation_batches(pixels, np.arange(10), Normalise(MEAN, STD), batch_size=4)
    assert [batch.labels.tolist() for batch in made] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_crop_shifts_and_mirrors_at_the_edges():
    image = torch.arange(8, dtype=torch.uint8).repeat(8, 1)[None, :, :, None]  # columns 0..7
    right = crop(image, torch.tensor([[0.5, 0.999, 0.0]]))[0, 0, :, 0]
    left = crop(image, torch.tensor([[0.5, 0.0, 0.0]]))[0, 0, :, 0]
    assert right.tolist() == [1, 2, 3, 4, 5, 6, 7, 6]
    assert left.tolist() == [1, 0, 1, 2, 3, 4, 5, 6]


def test_crop_flip_mirrors_half_the_images():
    image = torch.arange(8, dtype=torch.uint8).repeat(2, 8, 1)[..., None]
    made = augmentation("crop-flip")(image, torch.tensor([[0.5, 0.5, 0.4], [0.5, 0.5, 0.6]]))
    assert made[0, 0, :, 0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert made[1, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_an_unknown_augmentation_names_the_known_ones():
    with pytest.raises(UsageError, match="crop-flip"):
        augmentation("rotate")
