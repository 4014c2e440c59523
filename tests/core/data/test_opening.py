"""Opening: the shape, and what a plugin hands over, are checked; nothing is decoded."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cnnreg.data import open_dataset
from cnnreg.errors import PluginError, UsageError
from cnnreg.specs import DataRequest, Samples, SourceData
from stub_data import STUB, files, samples


@pytest.mark.parametrize(
    ("settings", "sizes", "shape"),
    [
        ({}, {}, (3, 6, 6)),
        ({}, {"min_size": 4}, (3, 6, 6)),
        ({}, {"min_size": 9}, (3, 9, 9)),
        ({}, {"image_shape": (1, 5, 7), "min_size": 9}, (1, 5, 7)),
        ({"image_size": 12}, {"min_size": 9}, (3, 12, 12)),
    ],
)
def test_the_shape_of_pixels(offer, settings, sizes, shape):
    data = open_dataset(offer(samples()), replace(STUB, **settings), **sizes)
    assert data.image_shape == shape
    channels, height, width = shape
    for split in (data.train, data.val, data.test):
        assert split.pixels.shape == (len(split), height, width, channels)
        assert split.pixels.dtype == np.uint8
        assert split.labels.dtype == np.int64


def test_the_shape_that_the_spec_states(offer):
    registry = offer(samples(), image_shape=(1, 8, 8))
    assert open_dataset(registry, STUB).train.pixels.shape[1:] == (8, 8, 1)


def test_an_image_size_below_the_networks_least(offer):
    with pytest.raises(UsageError, match="too small"):
        open_dataset(offer(samples()), replace(STUB, image_size=8), min_size=9)


@pytest.mark.parametrize(
    ("size", "mode", "shape"),
    [
        ((6, 6), "RGB", (3, 6, 6)),
        ((96, 40), "RGB", (3, 96, 40)),
        ((6, 6), "L", (1, 6, 6)),
        ((97, 97), "RGB", (3, 20, 24)),
        ((97, 97), "L", (1, 20, 24)),
    ],
)
def test_the_shape_of_files(offer, tmp_path, size, mode, shape):
    data = open_dataset(
        offer(files(tmp_path / "f", 3, size, mode)), STUB, fallback_size=(3, 20, 24)
    )
    assert data.image_shape == shape
    assert data.train.pixels.shape[1:] == (*shape[1:], shape[0])


def test_a_class_too_small_for_the_sample_may_bring_the_colour(offer, tmp_path):
    source = files(tmp_path / "f", 40, mode="L")
    Image.new("RGB", (6, 6), "red").save(source.files[1])
    rare = Samples(labels=(np.arange(80) == 1).astype(np.int64), files=source.files)
    registry = offer(rare, val=samples(classes=2), test=samples(classes=2))
    assert open_dataset(registry, STUB).image_shape[0] == 3


def test_files_of_different_sizes_get_the_networks(offer, tmp_path):
    source = files(tmp_path / "f", 3)
    Image.new("RGB", (6, 7)).save(source.files[0])
    assert open_dataset(offer(source), STUB, fallback_size=(3, 20, 24)).image_shape == (3, 20, 24)


def test_published_mean_and_deviation_are_taken(offer):
    registry = offer(samples(), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    data = open_dataset(registry, STUB)
    assert (data.mean, data.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    grey = open_dataset(registry, STUB, image_shape=(1, 6, 6))
    assert len(grey.mean) == 1


@pytest.mark.parametrize("kind", ["int32", "uint64", ">i2"])
def test_any_integers_and_texts_will_do(offer, tmp_path, kind):
    source = files(tmp_path / "f")
    expected = open_dataset(offer(source), STUB)
    loose = Samples(labels=source.labels.astype(kind), files=tuple(map(str, source.files)))
    data = open_dataset(offer(loose), STUB)
    assert data.train.labels.dtype == data.train.take(3).labels.dtype == np.int64
    assert data.train.files == expected.train.files
    assert data.fingerprint == expected.fingerprint


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mean": 0.5, "std": 0.5}, "mean must hold a number for each channel"),
        ({"mean": (0.5, 0.5), "std": (1.0, 1.0)}, "mean must hold"),
        ({"mean": (0.5,), "std": (1.0, 1.0, 1.0)}, "as many channels"),
        ({"mean": (0.5,), "std": (0.0,)}, "std one above 0"),
        ({"mean": (0.5,)}, "std must hold"),
        ({"mean": (0.5,), "std": (1.0,), "image_shape": (3, 8, 8)}, "mean must hold"),
        ({"image_shape": (4, 28, 28)}, "1 or 3 channels, not 4"),
    ],
)
def test_a_spec_that_fits_no_pixels(offer, wrong, said):
    with pytest.raises(ValueError, match=f"stub: .*{said}"):
        offer(samples(), **wrong)


def test_class_names_may_come_one_by_one(offer):
    opened = SourceData(classes=(name for name in "abc"), train=samples())
    assert open_dataset(offer(None, classes="abc", opened=lambda _: opened), STUB).classes == (
        "a",
        "b",
        "c",
    )


@pytest.mark.parametrize(
    "broken",
    [
        lambda request: None,
        lambda request: 1 / 0,
        lambda request: SourceData(classes=("a", "b"), train=samples()),
        lambda request: SourceData(
            classes=("a", "b"), train=Samples(labels=np.arange(2), files=(1, 2))
        ),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=np.zeros((2, 4, 4, 4), np.uint8)),
        ),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=np.zeros((2, 4, 4, 3), np.float32)),
        ),
        lambda request: SourceData(
            classes=("a", "b"), train=Samples(labels=torch.arange(2), files=("1", "2"))
        ),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=torch.zeros((2, 4, 4, 3), dtype=torch.uint8)),
        ),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=list(np.zeros((2, 4, 4, 3), np.uint8))),
        ),
        lambda request: SourceData(classes=tuple("abc"), train=samples(), val=(1, 2)),
        lambda request: SourceData(classes=tuple("abc"), train=None),
        lambda request: SourceData(classes=None, train=samples()),
    ],
)
def test_a_broken_plugin_is_named(offer, broken):
    with pytest.raises(PluginError, match="'stub'"):
        open_dataset(offer(samples(), opened=broken), STUB)


def test_the_request_carries_the_folders(offer, tmp_path):
    requests: list[DataRequest] = []

    def open_it(request: DataRequest) -> SourceData:
        requests.append(request)
        return SourceData(classes=("a", "b", "c"), train=samples())

    config = replace(STUB, folder=tmp_path / "x", downloads=tmp_path / "y")
    open_dataset(offer(samples(), opened=open_it), config)
    assert (requests[0].folder, requests[0].downloads) == (tmp_path / "x", tmp_path / "y")


def test_what_a_plugin_prints_is_no_result(offer, capsys):
    def noisy(request: DataRequest) -> SourceData:
        sys.stdout.write("noise")
        return SourceData(classes=("a", "b", "c"), train=samples())

    open_dataset(offer(samples(), opened=noisy), STUB)
    assert capsys.readouterr() == ("", "noise")


def test_one_note_may_be_given_without_a_tuple(offer):
    source = SourceData(classes=("a", "b", "c"), train=samples(), notes="three lack labels")
    registry = offer(samples(), opened=lambda request: source)
    assert open_dataset(registry, STUB).notes == ("three lack labels",)
