import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnreg.data import DataConfig, data_config, open_dataset
from cnnreg.errors import (
    DataError,
    MachineError,
    PluginError,
    UnknownNameError,
    UsageError,
)
from cnnreg.plugins import PluginStatus
from cnnreg.registry import Catalog, Entry, Registry
from cnnreg.specs import DataRequest, DatasetSpec, Samples, SourceData, to_data


def samples(per_class: int = 10, classes: int = 3, size: int = 6, seed: int = 0) -> Samples:
    labels = np.repeat(np.arange(classes, dtype=np.int64), per_class)
    random = np.random.default_rng(seed)
    shape = (len(labels), size, size, 3)
    return Samples(labels=labels, pixels=random.integers(0, 256, shape, dtype=np.uint8))


def files(folder: Path, per_class: int = 10, size: tuple[int, int] = (6, 6), mode="RGB") -> Samples:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2 * per_class, *size, 3), dtype=np.uint8)
    paths = [folder / f"{index:03}.png" for index in range(2 * per_class)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).convert(mode).save(path)
    labels = np.repeat(np.arange(2, dtype=np.int64), per_class)
    return Samples(labels=labels, files=tuple(paths))


@pytest.fixture
def offer(registry: Registry):
    """A registry with one data set, which hands over what the test says."""

    def make(train, *, val=None, test=None, classes=None, opened=None, **spec) -> Registry:
        names = classes or tuple("abcdefghij"[: train.labels.max() + 1])
        source = SourceData(classes=names, train=train, val=val, test=test)
        spec = DatasetSpec(
            name="stub",
            summary="for tests",
            open=opened or (lambda request: source),
            licence="none",
            **spec,
        )
        status = PluginStatus(
            name="stub", distribution="", version="", module="stub", state="loaded"
        )
        return replace(registry, datasets=Catalog("dataset", [Entry(spec, status)]))

    return make


STUB = DataConfig(name="stub")


# --- What --data means -----------------------------------------------------------------


def test_a_registered_name_wins_over_a_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert data_config("digits", registry).name == "digits"
    config = data_config("./digits", registry, image_size=32)
    assert (config.name, config.folder) == ("folder", tmp_path / "digits")
    assert config.image_size == 32


def test_paths_are_stored_absolute(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    config = data_config("mine", registry, downloads=Path("elsewhere"))
    assert config.folder == tmp_path / "mine"
    assert config.downloads == tmp_path / "elsewhere"


@pytest.mark.parametrize("text", ["no/such", "./no", "~/no-such-folder", "C:\\no"])
def test_a_path_that_is_not_there(registry, text):
    with pytest.raises(DataError, match="no such folder") as caught:
        data_config(text, registry)
    assert "digits" in caught.value.hint


def test_a_word_that_names_nothing(registry):
    with pytest.raises(UnknownNameError, match="data set or folder 'digit'") as caught:
        data_config("digit", registry)
    assert "digits" in caught.value.hint


def test_a_file_is_no_folder(registry, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(DataError, match="is a file"):
        data_config(str(tmp_path / "a.zip"), registry)


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(name="mnist"),
        DataConfig(name="folder", folder=Path("/a/b"), image_size=48, resize="crop", split_seed=3),
    ],
)
def test_the_configuration_survives_json(config):
    assert DataConfig.from_data(json.loads(json.dumps(to_data(config)))) == config


@pytest.mark.parametrize(
    "change",
    [
        {"resize": "zoom"},
        {"image_size": 0},
        {"val_fraction": 0.6},
        {"test_fraction": 0},
        {"split_seed": -1},
        {"code": "os.system"},
    ],
)
def test_a_damaged_configuration_is_refused(change):
    with pytest.raises(ValueError, match=r"image size|resize|fraction|seed|unknown data field"):
        DataConfig.from_data(to_data(STUB) | change)


# --- Shape -----------------------------------------------------------------------------


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


def test_files_of_different_sizes_get_the_networks(offer, tmp_path):
    source = files(tmp_path / "f", 3)
    Image.new("RGB", (6, 7)).save(source.files[0])
    assert open_dataset(offer(source), STUB, fallback_size=(3, 20, 24)).image_shape == (3, 20, 24)


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


# --- Decoding --------------------------------------------------------------------------


def test_nothing_is_decoded_before_it_is_asked_for(offer, tmp_path):
    seen = []
    data = open_dataset(
        offer(files(tmp_path / "f", 50)),
        STUB,
        progress=lambda split, done, total: seen.append((split, done, total)),
    )
    assert seen == []
    assert len(data.test) == 20
    assert seen == [("test", 20, 20)]
    assert len(data.train.take(5)) == 5
    assert seen == [("test", 20, 20), ("train", 5, 5)]
    assert data.train.pixels is data.train.pixels
    assert seen[2:] == [("train", 64, 72), ("train", 72, 72)]


def test_decoded_pixels_stand_beside_their_labels(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    data = open_dataset(offer(source), STUB)
    by_content = {
        np.asarray(Image.open(path)).tobytes(): label
        for path, label in zip(source.files, source.labels, strict=True)
    }
    for split in (data.train, data.val, data.test):
        for pixels, label in zip(split.pixels, split.labels, strict=True):
            assert by_content[pixels.tobytes()] == label


def test_a_part_is_random_repeatable_and_small(offer):
    train = open_dataset(offer(samples(per_class=100)), STUB).train
    part = train.take(30, seed=1)
    assert len(part) == len(part.pixels) == 30
    assert len(np.unique(part.labels)) == 3
    assert np.array_equal(part.pixels, train.take(30, seed=1).pixels)
    assert not np.array_equal(part.pixels, train.take(30, seed=2).pixels)
    assert len(train.take(10_000)) == len(train)


def test_one_bad_file_in_a_hundred_is_skipped_and_named(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    source.files[3].write_bytes(b"<html>")
    others = {"val": samples(classes=2), "test": samples(classes=2)}
    train = open_dataset(offer(source, **others), STUB).train
    assert len(train) == len(train.pixels) == 199
    assert [error.where for error in train.skipped] == [str(source.files[3])]
    assert train.labels.sum() == 100
    assert not np.array_equal(train.pixels[2], train.pixels[3])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_bad_file_of_a_hundred_may_be_in_any_split(offer, tmp_path, split):
    def with_one_bad(folder, per_class):
        source = files(tmp_path / folder, per_class)
        listing = open_dataset(offer(source), STUB).listing()
        bad = next(tmp_path / folder / name for place, _, name in listing if place == split)
        bad.write_bytes(b"<html>")
        return str(bad), getattr(open_dataset(offer(source), STUB), split)

    bad, found = with_one_bad("enough", 50)
    assert [error.where for error in found.skipped] == [bad]
    _, found = with_one_bad("few", 49)
    with pytest.raises(DataError, match="0 may be skipped"):
        len(found)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_broken_link_is_a_bad_file_like_others(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    source.files[3].unlink()
    source.files[3].symlink_to("nowhere")
    others = {"val": samples(classes=2), "test": samples(classes=2)}
    data = open_dataset(offer(source, **others), STUB)
    assert [error.where for error in data.train.skipped] == [str(source.files[3])]
    before = data.fingerprint
    source.files[3].with_name("nowhere").write_bytes(source.files[4].read_bytes())
    assert open_dataset(offer(source, **others), STUB).fingerprint != before


def test_more_bad_files_are_refused(offer, tmp_path):
    source = files(tmp_path / "f", 100)
    for path in source.files[3:6]:
        path.write_bytes(b"")
    registry = offer(source, val=samples(classes=2), test=samples(classes=2))
    with pytest.raises(DataError, match="3 of 200 so far, 2 may be skipped") as caught:
        len(open_dataset(registry, STUB).train)
    assert all(str(path) in caught.value.hint for path in source.files[3:6])


def test_only_bad_files(offer, tmp_path):
    source = files(tmp_path / "f")
    for path in source.files:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        open_dataset(offer(source), STUB)


def test_an_error_in_the_progress_callback_ends_the_decoding(offer, tmp_path):
    def stop(split: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    data = open_dataset(offer(files(tmp_path / "f", 100)), STUB, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        len(data.train)


def test_images_that_do_not_fit_in_memory(offer):
    data = open_dataset(offer(samples()), replace(STUB, image_size=10**6))
    with pytest.raises(MachineError, match="GB of memory"):
        len(data.train)


# --- Mean, deviation, fingerprint ------------------------------------------------------


def test_mean_and_deviation_are_measured_on_the_training_images(offer):
    data = open_dataset(offer(samples(per_class=500)), STUB)
    scaled = data.train.pixels / 255
    assert np.allclose(data.mean, scaled.mean((0, 1, 2)))
    assert np.allclose(data.std, scaled.std((0, 1, 2)))


def test_published_mean_and_deviation_are_taken(offer):
    registry = offer(samples(), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    data = open_dataset(registry, STUB)
    assert (data.mean, data.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    grey = open_dataset(registry, STUB, image_shape=(1, 6, 6))
    assert len(grey.mean) == 1


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


# --- Sources that break their promise --------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        lambda request: None,
        lambda request: 1 / 0,
        lambda request: SourceData(classes=("a", "b"), train=samples()),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=np.zeros((2, 4, 4, 4), np.uint8)),
        ),
        lambda request: SourceData(
            classes=("a", "b"),
            train=Samples(labels=np.arange(2), pixels=np.zeros((2, 4, 4, 3), np.float32)),
        ),
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


@pytest.mark.parametrize(
    ("folder", "label"), [("my photos", "my_photos"), ("...", "folder"), ("x" * 99, "x" * 40)]
)
def test_a_folder_of_images_is_called_by_its_name(folder, label):
    assert DataConfig(name="folder", folder=Path("/data") / folder).label == label
    assert DataConfig(name="mnist").label == "mnist"
