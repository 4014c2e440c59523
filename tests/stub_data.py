"""A data set that a test makes up: arrays, or files of random pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
