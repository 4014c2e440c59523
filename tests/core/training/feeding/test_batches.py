"""Batches: every image once, in a reproducible order, augmented independently of its batch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from cnnreg.images import normalise
from cnnreg.recipe import Recipe
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.feeding.augment import Eraser, augmentation, crop
from cnnreg.training.feeding.batches import Normalise, TrainingBatches, evaluation_batches
from cnnreg.training.feeding.mixing import Mixer, mix

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


def batches(
    count: int = 50,
    *,
    batch_size: int = 8,
    seed: int = 3,
    augment: str = "none",
    world: World = ALONE,
    **recipe,
):
    pixels = np.arange(count * 8 * 8 * 3, dtype=np.uint8).reshape(count, 8, 8, 3)
    return TrainingBatches(
        pixels,
        np.arange(count, dtype=np.int64),
        recipe=Recipe(batch_size=batch_size, seed=seed, **recipe),
        augment=augment,
        normalise=Normalise(MEAN, STD),
        world=world,
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
    assert labels(made, 2, start=24) == labels(made, 2)[24:]


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


@pytest.mark.parametrize(
    "count, sizes",
    [(32, [16, 16]), (33, [16, 17]), (35, [16, 19]), (36, [16, 16, 4]), (3, [3]), (19, [19])],
)
def test_a_last_batch_under_a_quarter_is_merged_into_the_one_before(count, sizes):
    made = batches(count, batch_size=16)
    assert [len(batch.labels) for batch in made.epoch(0)] == sizes
    assert len(made) == len(sizes)
    assert sorted(labels(made, 0)) == list(range(count))
    assert labels(made, 0, start=sum(sizes[:-1])) == labels(made, 0)[sum(sizes[:-1]) :]


@pytest.mark.parametrize("rank, own", [(0, 10), (1, 9)])
def test_a_merged_batch_comes_in_as_many_parts_and_to_all_processes(rank, own):
    world = World(rank, 2)
    (*_, last) = batches(35, batch_size=16, world=world).epoch(0)
    assert (last.total, len(last.labels)) == (19, own)
    parts = list(last.split(4, world))
    assert [part.total for part in parts] == [19, 19, 19, 19]
    assert torch.equal(torch.cat([part.labels for part in parts]), last.labels)


def test_normalise_equals_the_one_without_torch():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 7, 5, 3), dtype=np.uint8)
    ours = Normalise(MEAN, STD)(torch.from_numpy(pixels))
    np.testing.assert_allclose(ours.numpy(), normalise(pixels, MEAN, STD), atol=2e-6)
    assert ours.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_lie_in_memory_as_asked(channels):
    pixels = torch.zeros(4, 7, 5, channels, dtype=torch.uint8)
    of = MEAN[:channels], STD[:channels]
    rows = 5 * channels
    assert Normalise(*of)(pixels).stride() == (7 * rows, 1, rows, channels)
    contiguous = Normalise(*of, contiguous=True)(pixels)
    assert contiguous.stride() == (channels * 35, 35, 5, 1)


def test_evaluation_keeps_the_order():
    pixels = np.zeros((10, 4, 4, 3), np.uint8)
    made = evaluation_batches(pixels, np.arange(10), Normalise(MEAN, STD), batch_size=4)
    assert [batch.labels.tolist() for batch in made] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_images_that_must_not_be_written_to_are_not_and_without_a_warning():
    """They may be mapped from a file."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    before, labels = pixels.copy(), np.arange(12)
    pixels.flags.writeable = False
    recipe = Recipe(batch_size=4, mixup=0.2, cutmix=1.0, erasing=0.5)
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(action="error"):
            made = TrainingBatches(
                pixels,
                labels,
                recipe=recipe,
                augment="crop-flip",
                normalise=Normalise(MEAN, STD),
            )
            seen = [*made.epoch(0), *evaluation_batches(pixels, labels, Normalise(MEAN, STD))]
    finally:
        torch.set_warn_always(False)
    assert len(seen) == 4
    assert np.array_equal(pixels, before)


def test_crop_shifts_and_mirrors_at_the_edges():
    image = torch.arange(8, dtype=torch.uint8).repeat(8, 1)[None, :, :, None]  # columns 0..7
    right = crop(image, torch.tensor([[0.5, 0.999, 0.0]]), 0.125)[0, 0, :, 0]
    left = crop(image, torch.tensor([[0.5, 0.0, 0.0]]), 0.125)[0, 0, :, 0]
    assert right.tolist() == [1, 2, 3, 4, 5, 6, 7, 6]
    assert left.tolist() == [1, 0, 1, 2, 3, 4, 5, 6]


def test_each_image_moves_by_its_own_numbers():
    random = np.random.default_rng(0)
    images = torch.from_numpy(random.integers(0, 256, (9, 16, 24, 3), dtype=np.uint8))
    draws = torch.from_numpy(random.random((9, 3), dtype=np.float32))
    together = augmentation("crop-flip", 0.125)(images, draws)
    for image, draw, made in zip(images, draws, together, strict=True):
        alone = augmentation("crop-flip", 0.125)(image[None], draw[None])[0]
        assert torch.equal(made, alone)


@pytest.mark.parametrize(
    "shift, moves", [(0, {0}), (0.125, {-2, -1, 0, 1, 2}), (0.0625, {-1, 0, 1})]
)
def test_images_move_by_up_to_the_share_of_their_sides_that_was_asked_for(shift, moves):
    rows = torch.arange(16, dtype=torch.uint8)[None, :, None, None].expand(40, 16, 16, 1)
    draws = torch.linspace(0, 0.999, 40)[:, None].expand(40, 3)
    made = augmentation("crop", shift)(rows, draws)
    assert set((made[:, 8, 0, 0].int() - 8).tolist()) == moves


def test_crop_flip_mirrors_half_the_images():
    image = torch.arange(8, dtype=torch.uint8).repeat(2, 8, 1)[..., None]
    made = augmentation("crop-flip", 0.125)(image, torch.tensor([[0.5, 0.5, 0.4], [0.5, 0.5, 0.6]]))
    assert made[0, 0, :, 0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert made[1, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


def test_an_image_that_was_mirrored_is_not_in_the_next_epoch():
    rising = np.tile(np.arange(8, dtype=np.uint8)[None, None, :, None] * 20, (40, 8, 1, 3))
    made = TrainingBatches(
        rising,
        np.arange(40, dtype=np.int64),
        recipe=Recipe(batch_size=8),
        augment="crop-flip",
        normalise=Normalise(MEAN, STD),
    )

    def mirrored(epoch: int) -> list[bool]:
        seen = torch.zeros(40, dtype=torch.bool)
        for batch in made.epoch(epoch):
            left, right = batch.images[..., :4].sum((1, 2, 3)), batch.images[..., 4:].sum((1, 2, 3))
            seen[batch.labels] = left > right
        return seen.tolist()

    first, second = mirrored(0), mirrored(1)
    assert 10 < sum(first) < 30
    assert second == [not turned for turned in first]
    assert mirrored(2) == first


def test_erasing_leaves_the_mean_colour_in_a_rectangle():
    images = torch.full((200, 16, 16, 3), 255, dtype=torch.uint8)
    eraser = Eraser(0.5, torch.tensor([1, 2, 3], dtype=torch.uint8))
    made = eraser(images, eraser.draw(200, torch.Generator().manual_seed(0)))
    erased = (made == torch.tensor([1, 2, 3])).all(-1)
    assert bool((erased | (made == 255).all(-1)).all())
    share = erased.float().mean((1, 2))
    assert 0.4 < float((share > 0).float().mean()) < 0.6
    assert 0.1 < float(share[share > 0].mean()) < 0.25  # 2 to 33 % each
    for mask in erased[share > 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert bool((mask == (rows[:, None] & columns[None, :])).all())


def test_erasing_spares_no_edge():
    images = torch.full((20_000, 8, 8, 1), 255, dtype=torch.uint8)
    eraser = Eraser(1.0, torch.tensor([0], dtype=torch.uint8))
    made = eraser(images, eraser.draw(len(images), torch.Generator().manual_seed(0)))
    share = (made == 0).float().mean((0, 3))
    for of in (share.mean(0), share.mean(1)):
        assert torch.allclose(of, of.flip(0), atol=0.015)
        assert float(of.min()) > 0.03


def test_mixing_keeps_the_labels_in_step_with_the_pixels():
    """Each image is of one constant colour, its label: so the share can be read off it."""
    images = torch.arange(40.0)[:, None, None, None].expand(40, 3, 32, 32)
    others = images.roll(1, 0)
    for mixup, cutmix in ((0.4, 0.0), (0.0, 1.0), (0.4, 1.0)):
        drawn = Mixer(mixup, cutmix).draw(40, torch.Generator().manual_seed(0))
        mixed, share = mix(images, others, drawn)
        expected = share * images[:, 0, 0, 0] + (1 - share) * others[:, 0, 0, 0]
        torch.testing.assert_close(mixed.mean((1, 2, 3)), expected, atol=1e-3, rtol=1e-4)
        assert bool(drawn.cut.any()) == (cutmix > 0)
        assert bool((~drawn.cut).any()) == (mixup > 0)


def test_mixed_batches_name_the_image_mixed_in():
    for batch in batches(mixup=0.4).epoch(0):
        assert torch.equal(batch.other_labels, batch.labels.roll(1))
        assert bool(((batch.share >= 0) & (batch.share <= 1)).all())


def test_mixing_does_not_change_the_order():
    assert labels(batches(), 0) == labels(batches(mixup=0.4, erasing=0.5), 0)


def test_a_batch_in_parts_is_the_same_batch():
    (batch, *_) = batches(mixup=0.4).epoch(0)
    parts = list(batch.split(3))
    assert [part.total for part in parts] == [8, 8, 8]
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
    assert torch.equal(torch.cat([part.other_labels for part in parts]), batch.other_labels)


@pytest.mark.parametrize("recipe", [{}, {"mixup": 0.4, "cutmix": 1.0, "erasing": 0.5}])
def test_processes_share_a_batch_of_one(recipe):
    """All parts together are what one process alone would see, image by image."""

    def made(world):
        return list(batches(49, augment="crop-flip", world=world, **recipe).epoch(1))

    alone, first, second = made(ALONE), made(World(0, 2)), made(World(1, 2))
    assert len(alone) == len(first) == len(second)
    for whole, *parts in zip(alone, first, second, strict=True):
        for rank, part in enumerate(parts):
            assert part.total == whole.total
            for name in ("images", "labels", "other_labels", "share"):
                if (expected := getattr(whole, name)) is not None:
                    torch.testing.assert_close(getattr(part, name), expected[rank::2])
