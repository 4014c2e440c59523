import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cnnreg.data import data_config, open_dataset
from cnnreg.errors import DataError, MissingExtraError
from cnnreg.specs import DataRequest
from cnnreg_plugins.datasets.cifar import CIFAR10, open_cifar
from stub_data import pack_cifar, write_cifar

datasets = pytest.importorskip("torchvision.datasets")

CLASSES = ["airplane", "automobile", "bird", "cat", "deer"]
CLASSES += ["dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """A small CIFAR-10 in the published layout: 20 images a batch, each of one brightness."""
    labels = [index % 10 for index in range(20)]
    rows = np.repeat(np.array(labels, np.uint8)[:, None] * 20, 3 * 32 * 32, axis=1)
    rows[:, : 32 * 32] += 1  # the red plane
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    batches = dict.fromkeys(names, (rows, labels))
    return write_cifar(datasets.CIFAR10, tmp_path / "data", batches, CLASSES, monkeypatch)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("way", ["folder", "downloads"])
def test_found_where_the_files_lie(tmp_path, published, direct, way):
    place = published if direct else published.parent
    source = open_cifar(CIFAR10, DataRequest(**{"downloads": tmp_path / "none", way: place}))
    assert source.classes == tuple(CLASSES)
    assert source.test is not None and source.train.pixels is not None
    assert source.train.pixels.shape == (100, 32, 32, 3)
    assert len(source.test) == 20
    expected = source.train.labels[:, None] * 20 + [1, 0, 0]
    assert np.array_equal(source.train.pixels[:, 7, 9], expected)


def test_through_the_registry(published, registry):
    config = data_config("cifar10", registry, downloads=published.parent)
    data = open_dataset(registry, config)
    assert data.image_shape == (3, 32, 32)
    assert data.train.pixels.flags.c_contiguous and data.test.pixels.flags.c_contiguous
    assert (len(data.train), len(data.val), len(data.test)) == (90, 10, 20)


def test_an_archive_put_there_by_hand_is_unpacked(tmp_path, published, monkeypatch):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    archive = downloads / "cifar-10-python.tar.gz"
    pack_cifar(datasets.CIFAR10, published, archive, monkeypatch)
    assert len(open_cifar(CIFAR10, DataRequest(downloads=downloads)).train) == 100
    names = sorted(path.name for path in downloads.iterdir())
    assert names == ["cifar-10-batches-py", "cifar-10-python.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x1f\x8b\x08\0\0\0\0\0"])
def test_a_damaged_archive_is_named(tmp_path, content):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    with pytest.raises(DataError, match="Damaged archive") as caught:
        open_cifar(CIFAR10, DataRequest(downloads=tmp_path))
    assert caught.value.where == str(tmp_path / "cifar-10-python.tar.gz")
    assert len(list(tmp_path.iterdir())) == 1


def test_an_archive_that_is_not_the_published_one_is_not_opened(tmp_path, published, monkeypatch):
    """It could write elsewhere."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    archive = downloads / "cifar-10-python.tar.gz"
    pack_cifar(datasets.CIFAR10, published, archive, monkeypatch)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    monkeypatch.setattr(tarfile, "open", None)
    with pytest.raises(DataError, match="Damaged archive.*md5") as caught:
        open_cifar(CIFAR10, DataRequest(downloads=downloads))
    assert caught.value.where == str(archive)
    assert [*downloads.iterdir()] == [archive]


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_forged_file_is_refused_and_not_unpickled(tmp_path, published, name):
    canary = tmp_path / "fired"
    (published / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(DataError, match="md5 sums differ") as caught:
        open_cifar(CIFAR10, DataRequest(downloads=published.parent))
    assert caught.value.where == str(published)
    assert not canary.exists()


def test_without_torchvision_the_extra_is_named(published, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"cnn-registry\[train\]"):
        open_cifar(CIFAR10, DataRequest(downloads=published.parent))
