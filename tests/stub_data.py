"""A data set that a test makes up: arrays, files of random pixels, or a published set's files."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnnreg.data import DataConfig
from cnnreg.specs import Samples

STUB = DataConfig(name="stub")


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


def idx(values: np.ndarray) -> bytes:
    """As MNIST's files hold an array of bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def write_mnist(folder: Path, *, zipped: bool = False, **splits: tuple[Any, Any]) -> None:
    """`train` and `t10k`: images [N, 28, 28] and labels."""
    folder.mkdir(parents=True)
    for name, arrays in splits.items():
        for part, values in zip(("images-idx3", "labels-idx1"), arrays, strict=True):
            content, path = idx(values.astype(np.uint8)), folder / f"{name}-{part}-ubyte"
            if zipped:
                content, path = gzip.compress(content), path.with_name(f"{path.name}.gz")
            path.write_bytes(content)


def write_cifar(
    loader: Any,
    root: Path,
    batches: dict[str, tuple[np.ndarray, list[int]]],
    classes: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Rows [N, 3072] and labels by file, with md5 sums that torchvision takes for published."""
    folder = root / loader.base_folder
    folder.mkdir(parents=True)

    def write(name: str, content: Any) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    labels = "labels" if loader.base_folder.startswith("cifar-10-") else "fine_labels"
    sums = {n: write(n, {"data": rows, labels: told}) for n, (rows, told) in batches.items()}
    for attribute in ("train_list", "test_list"):
        listed = [[name, sums[name]] for name, _ in getattr(loader, attribute)]
        monkeypatch.setattr(loader, attribute, listed)
    md5 = write(loader.meta["filename"], {loader.meta["key"]: classes})
    monkeypatch.setattr(loader, "meta", loader.meta | {"md5": md5})
    return folder


def pack_cifar(loader: Any, folder: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder in an archive that torchvision takes for the published one."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(loader, "tgz_md5", md5)
