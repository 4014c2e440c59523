"""Distortion: pieces, turns and colours, each image by its own numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as tv

from cnnreg.recipe import Recipe
from cnnreg.training.feeding.batches import Normalise, TrainingBatches
from cnnreg.training.feeding.distortion import Distortion

SAME = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0)  # nothing changed


def noise(count: int, height: int, width: int, channels: int = 3) -> torch.Tensor:
    random = np.random.default_rng(0)
    shape = (count, height, width, channels)
    return torch.from_numpy(random.integers(40, 200, shape, dtype=np.uint8))


def drawn(distortion: Distortion, count: int) -> torch.Tensor:
    return distortion.draw(count, torch.Generator().manual_seed(0))


def changed(images: torch.Tensor, **numbers: float) -> torch.Tensor:
    """The first images as `SAME` with some of its numbers replaced makes them."""
    names = ("wide", "skew", "right", "slant", "tall", "down", "light", "contrast", "saturation")
    row = [numbers.get(name, same) for name, same in zip(names, SAME, strict=True)]
    distortion = Distortion(0.5, 90, 0.5)
    return distortion(images, torch.tensor([row]).expand(len(images), -1))


def test_what_is_off_draws_nothing():
    random = torch.Generator().manual_seed(0)
    before = random.get_state()
    assert Distortion().draw(5, random) is None
    assert torch.equal(random.get_state(), before)


@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_that_change_nothing_leave_every_pixel(channels):
    images = noise(3, 12, 17, channels)
    assert torch.equal(changed(images), images)


def test_a_piece_is_cut_out_and_enlarged():
    columns = (torch.arange(40) * 5).byte()[None, None, :, None].expand(1, 40, 40, 3)
    left = changed(columns, wide=0.5, right=-0.5)[0, 20, :, 0].int()
    right = changed(columns, wide=0.5, right=0.5)[0, 20, :, 0].int()
    assert (left[1], left[-2]) == (1, 94)  # between the first twenty columns, 0 to 95
    assert (right[1], right[-2]) == (101, 194)


@pytest.mark.parametrize("zoom", [0.9, 0.99])
def test_pieces_that_are_nearly_the_whole_have_the_area_asked_for(zoom):
    wide, _, right, _, tall, down = drawn(Distortion(zoom), 2000)[:, :6].unbind(1)
    area = wide * tall
    assert zoom - 1e-4 < float(area.min()) < zoom + 0.002
    assert 1 - 0.002 < float(area.max()) <= 1 + 1e-6
    assert bool((right.abs() + wide <= 1 + 1e-6).all())
    assert bool((down.abs() + tall <= 1 + 1e-6).all())


@pytest.mark.parametrize("zoom", [0.08, 0.5])
def test_pieces_have_the_area_and_aspect_asked_for_and_lie_inside(zoom):
    wide, skew, right, slant, tall, down = drawn(Distortion(zoom), 2000)[:, :6].unbind(1)
    area = wide * tall
    assert float(area.min()) < zoom + 0.02
    assert float(area.min()) > zoom - 1e-4
    assert float(area.max()) > 0.93
    inside = (wide < 1) & (tall < 1)
    aspect = (wide / tall)[inside]
    assert 0.74 < float(aspect.min()) < 0.8
    assert 1.25 < float(aspect.max()) < 1.35
    assert not skew.any()
    assert not slant.any()
    assert bool((right.abs() + wide <= 1 + 1e-6).all())
    assert bool((down.abs() + tall <= 1 + 1e-6).all())


def test_a_turn_alone_keeps_size_and_middle():
    wide, skew, right, slant, tall, down = drawn(Distortion(rotate=30), 2000)[:, :6].unbind(1)
    degrees = torch.rad2deg(torch.atan2(slant, wide))
    assert -30 <= float(degrees.min()) < -29
    assert 29 < float(degrees.max()) <= 30.001
    torch.testing.assert_close(wide * tall - skew * slant, torch.ones(2000))
    assert not right.any()
    assert not down.any()


@pytest.mark.parametrize("height, width", [(20, 20), (20, 30), (32, 18)])
def test_a_quarter_turn_turns_without_stretching(height, width):
    images = noise(1, height, width)
    made = changed(images, wide=0.0, skew=-1.0, slant=1.0, tall=0.0)
    side = min(height, width)
    middle = [slice((height - side) // 2, (height + side) // 2)]
    middle.append(slice((width - side) // 2, (width + side) // 2))
    expected = torch.rot90(images[0][tuple(middle)], 1)
    assert (made[0][tuple(middle)].int() - expected.int()).abs().max() <= 1


def test_colours_change_as_torchvision_changes_them():
    images = noise(4, 16, 16)
    planes = images.permute(0, 3, 1, 2).float() / 255
    pairs = {
        "light": (0.8, tv.adjust_brightness),
        "contrast": (0.7, tv.adjust_contrast),
        "saturation": (1.3, tv.adjust_saturation),
    }
    for name, (factor, reference) in pairs.items():
        expected = reference(planes, factor).permute(0, 2, 3, 1) * 255
        assert (changed(images, **{name: factor}).float() - expected).abs().max() < 1


def test_factors_lie_about_one():
    factors = drawn(Distortion(colour=0.3), 2000)[:, 6:]
    assert 0.7 <= float(factors.min()) < 0.71
    assert 1.29 < float(factors.max()) <= 1.3
    assert float(torch.corrcoef(factors.T).fill_diagonal_(0).abs().max()) < 0.1


@pytest.mark.parametrize("size", [(9, 11), (32, 32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_does_not_depend_on_those_beside_it(size, channels):
    images = noise(13, *size, channels)
    distortion = Distortion(0.3, 20, 0.4)
    numbers = drawn(distortion, 13)
    together = distortion(images, numbers)
    for image, own, made in zip(images, numbers, together, strict=True):
        assert torch.equal(distortion(image[None], own[None])[0], made)


def test_training_images_are_distorted_and_the_others_of_a_recipe_stay_as_they_were():
    images = noise(24, 8, 8).numpy()

    def epoch(**settings) -> list[torch.Tensor]:
        made = TrainingBatches(
            images,
            np.arange(24, dtype=np.int64),
            recipe=Recipe(batch_size=8, **settings),
            augment="crop-flip",
            normalise=Normalise((0.5,) * 3, (0.25,) * 3),
        )
        return [batch.images for batch in made.epoch(0)]

    plain, distorted = epoch(), epoch(colour=0.2)
    for before, after in zip(plain, distorted, strict=True):
        assert not torch.equal(before, after)
        # The same images in the same order, moved alike: of another light alone.
        corners = torch.stack([before.flatten(1), after.flatten(1)], 1)
        assert all(float(torch.corrcoef(pair)[0, 1]) > 0.9 for pair in corners)
