import gzip
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cnnreg.data import data_config, open_dataset
from cnnreg.errors import DataError
from cnnreg.specs import DataRequest
from cnnreg_plugins.datasets.mnist import CLOTHES, DIGITS, FASHION, MNIST, open_mnist, read_idx
from stub_data import idx, write_mnist

open_digits = partial(open_mnist, MNIST, DIGITS)
open_clothes = partial(open_mnist, FASHION, CLOTHES)


def write(folder: Path, *, train: int = 60, test: int = 20, zipped: bool = False) -> None:
    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 10
        return np.broadcast_to(labels[:, None, None] * 20, (count, 28, 28)), labels

    write_mnist(folder, zipped=zipped, train=split(train), t10k=split(test))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("layout", ["MNIST/raw", "raw", ""])
@pytest.mark.parametrize("way", ["folder", "downloads"])
def test_found_where_the_files_lie(tmp_path, zipped, layout, way):
    write(tmp_path / "here" / layout, zipped=zipped)
    before = sorted(tmp_path.rglob("*"))
    request = {"downloads": tmp_path / "none", way: tmp_path / "here"}
    source = open_digits(DataRequest(**request))
    assert source.classes == tuple("0123456789")
    assert source.test is not None and source.train.pixels is not None
    assert source.train.pixels.shape == (60, 28, 28, 1)
    assert source.train.labels.tolist() == [index % 10 for index in range(60)]
    assert np.array_equal(source.train.pixels[:, 5, 5, 0], source.train.labels * 20)
    assert len(source.test) == 20
    assert sorted(tmp_path.rglob("*")) == before


def test_the_two_data_sets_are_not_mistaken_for_each_other(tmp_path):
    write(tmp_path / "MNIST/raw", train=30)
    write(tmp_path / "FashionMNIST/raw", train=50)
    assert len(open_digits(DataRequest(downloads=tmp_path)).train) == 30
    assert len(open_clothes(DataRequest(downloads=tmp_path)).train) == 50
    direct = DataRequest(downloads=tmp_path / "FashionMNIST/raw")
    assert len(open_clothes(direct).train) == 50
    with pytest.raises(Exception, match="MNIST is not here"):
        open_digits(direct)


def test_through_the_registry(tmp_path, registry):
    write(tmp_path / "MNIST/raw")
    data = open_dataset(registry, data_config("mnist", registry, downloads=tmp_path), min_size=32)
    assert data.image_shape == (1, 32, 32)
    assert (data.mean, data.std) == ((0.1307,), (0.3081,))
    assert (len(data.train), len(data.val), len(data.test)) == (50, 10, 20)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", idx(np.zeros((3, 3), np.uint8))[:-1], b"\0\0\x08\x03", b"\0\0\x0d\x01" * 9],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_file_is_named(tmp_path, content, zipped):
    path = tmp_path / ("images.gz" if zipped else "images")
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataError, match="Damaged") as caught:
        read_idx(tmp_path, "images")
    assert caught.value.where == str(path)


def test_a_damaged_archive_is_named(tmp_path):
    path = tmp_path / "images.gz"
    for content in (b"", b"junk", gzip.compress(idx(np.zeros(99, np.uint8)))[:-9]):
        path.write_bytes(content)
        with pytest.raises(DataError):
            read_idx(tmp_path, "images")


def test_images_and_labels_of_different_counts(tmp_path):
    write(tmp_path / "MNIST/raw")
    labels = idx(np.zeros(7, np.uint8))
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(labels)
    with pytest.raises(DataError, match="do not belong together"):
        open_digits(DataRequest(downloads=tmp_path))
