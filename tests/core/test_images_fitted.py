"""Images of any size as the network's: squashed, cropped, padded, and scaled."""

import numpy as np
import pytest
from PIL import Image

from cnnreg.images import fit, from_pixels, normalise
from helpers import picture

POLICIES = ("crop", "squash", "letterbox")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_the_right_size_passes_unchanged(policy, mode):
    image = picture().convert(mode)
    pixels = fit(image, 20, 30, policy)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.asarray(image).reshape(20, 30, -1))
    assert pixels.flags.writeable


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [(20, 30), (30, 20), (7, 7), (1, 500), (500, 1), (1, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_any_size_becomes_the_wanted_one(policy, size, mode):
    pixels = fit(Image.new(mode, size, "white"), 16, 24, policy)
    assert pixels.shape == (16, 24, len(mode))
    assert pixels.max() == 255


def bars(height: int, width: int, edge: int) -> Image.Image:
    """White with black edges of the given breadth at left and right."""
    pixels = np.full((height, width), 255, np.uint8)
    pixels[:, :edge] = pixels[:, width - edge :] = 0
    return Image.fromarray(pixels)


def test_crop_cuts_the_longer_side_at_both_ends():
    assert fit(bars(20, 40, 9), 20, 20, "crop").min() == 255


def test_squash_keeps_all_of_the_picture():
    pixels = fit(bars(20, 40, 10), 20, 20, "squash")[:, :, 0]
    assert pixels[:, :4].max() == 0 and pixels[:, -4:].max() == 0
    assert pixels[:, 7:13].min() == 255


def test_letterbox_pads_with_grey():
    pixels = fit(bars(20, 40, 10), 20, 20, "letterbox")[:, :, 0]
    assert set(np.unique(pixels[:5])) == set(np.unique(pixels[-5:])) == {128}
    assert pixels[5:15, :4].max() == 0
    assert pixels[5:15, 7:13].min() == 255


def test_shrinking_is_antialiased():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    pixels = fit(stripes, 8, 8, "squash")[1:-1, 1:-1]
    assert pixels.min() > 100 and pixels.max() < 155


def test_pixels_become_an_image_of_the_wanted_channels():
    grey = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    assert np.array_equal(fit(from_pixels(grey, 1), 4, 4, "crop"), grey)
    assert np.array_equal(fit(from_pixels(grey, 3), 4, 4, "crop"), grey.repeat(3, axis=2))
    assert fit(from_pixels(grey.repeat(3, axis=2), 1), 4, 4, "crop").shape == (4, 4, 1)


def test_normalise():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    planes = normalise(pixels, mean, std)
    assert planes.shape == (2, 3, 4, 5)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    expected = (pixels / 255 - np.array(mean)) / np.array(std)
    assert np.allclose(planes, expected.transpose(0, 3, 1, 2), atol=1e-6)
