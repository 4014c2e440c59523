"""Splits of pixels: their shape, figures and fingerprint, and sources that break their promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cnnreg.data import open_dataset
from cnnreg.specs import Samples, SourceData
from stub_data import STUB, files, samples


def test_pixels_of_the_models_shape_are_untouched(offer):
    source = samples()
    data = open_dataset(offer(source, val=samples(seed=1), test=samples(seed=2)), STUB)
    assert np.array_equal(data.train.pixels, source.pixels)
    assert np.array_equal(data.train.labels, source.labels)


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox"])
def test_the_resize_policy_reaches_the_pixels(offer, resize):
    pixels = np.full((30, 4, 8, 3), 255, np.uint8)
    pixels[:, :, :2] = 0  # the quarter that only `crop` loses
    data = open_dataset(
        offer(Samples(labels=samples().labels, pixels=pixels)),
        replace(STUB, resize=resize, image_size=4),
    )
    assert (data.resize, data.train.pixels.min() < 64) == (resize, resize != "crop")
    assert (128 in data.train.pixels[:, 0]) == (resize == "letterbox")


def test_mean_and_deviation_are_measured_on_the_training_images(offer):
    data = open_dataset(offer(samples(per_class=500)), STUB)
    scaled = data.train.pixels / 255
    assert np.allclose(data.mean, scaled.mean((0, 1, 2)))
    assert np.allclose(data.std, scaled.std((0, 1, 2)))


def test_constant_images_have_a_deviation_to_divide_by(offer):
    source = Samples(labels=samples().labels, pixels=np.full((30, 4, 4, 1), 7, np.uint8))
    assert open_dataset(offer(source), STUB).std == (1 / 255,)


def test_the_fingerprint_is_of_the_content(offer):
    def fingerprint(change=lambda source: None, **options) -> str:
        source = samples()
        change(source)
        return open_dataset(offer(source, **options), STUB).fingerprint

    def one_pixel(source):
        source.pixels[4, 0, 0, 0] ^= 1

    def two_labels(source):
        source.labels[[0, -1]] = source.labels[[-1, 0]]

    assert fingerprint() == fingerprint()
    changed = [
        fingerprint(one_pixel),
        fingerprint(two_labels),
        fingerprint(classes=("a", "b", "d")),
        fingerprint(test=samples()),
    ]
    assert len({fingerprint(), *changed}) == 5


def test_what_a_data_set_says_is_said_first(offer):
    opened = SourceData(classes=tuple("abc"), train=samples(), notes=["one", "two"])
    data = open_dataset(offer(samples(), opened=lambda request: opened), STUB)
    assert list(data.remarks()) == ["one", "two"]


def test_images_that_are_in_two_splits_are_told(offer, tmp_path):
    registry = offer(files(tmp_path / "f"), test=files(tmp_path / "g"))  # the same pictures
    (remark,) = open_dataset(registry, STUB).remarks()
    assert remark.startswith("18 test images are also among the training images: ")


@pytest.mark.parametrize(("levels", "told"), [(16, True), (256, False)])
def test_pictures_of_twelve_bits_in_sixteen_are_told(offer, levels, told):
    source = samples()
    source.pixels[:] %= np.uint8(levels - 1)
    remarks = list(open_dataset(offer(source), STUB).remarks())
    assert [remark.startswith("the training images are nearly uniform") for remark in remarks] == (
        [True] if told else []
    )
