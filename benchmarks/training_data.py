"""What `training.py` trains on: each data set in both worlds, the documented one and cnnreg's."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import MNIST, ImageFolder

from cnnreg.data import DataConfig

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Data:
    """One data set in both worlds: as files or torchvision's class, and as cnnreg's config."""

    documented: torch.utils.data.Dataset[Any]
    config: DataConfig
    size: int
    augment: str


def open_data(kind: str, folder: Path, options: argparse.Namespace) -> Data:
    if kind == "mnist":
        return _mnist(folder / "mnist", options.mnist)
    if kind == "cifar":
        source = options.cifar or _make_images(folder / "cifar", count=4000, size=32)
        return _folder(source, 32, padding=4)
    return _folder(_make_images(folder / "photos", count=600, size=256), 224, padding=0)


def _folder(folder: Path, size: int, *, padding: int) -> Data:
    """Class folders of JPEGs; the documented augmentation is that of cnnreg's crop-flip."""
    steps = [transforms.Resize((size, size))] if not padding else []
    crop = transforms.RandomCrop(size, size // 8, padding_mode="reflect")
    steps += [crop, transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    root = folder / "train" if (folder / "train").is_dir() else folder
    documented = ImageFolder(
        str(root), transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    )
    config = DataConfig(name="folder", folder=folder, image_size=size)
    return Data(documented, config, size, "crop-flip")


def _mnist(folder: Path, source: Path | None) -> Data:
    """torchvision's class on the idx files, without augmentation on either side."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, shape in _IDX.items():
        target = raw / name
        if target.exists():
            continue
        found = [*source.rglob(f"{name}*")] if source else []
        if found and found[0].suffix == ".gz":
            import gzip

            target.write_bytes(gzip.decompress(found[0].read_bytes()))
        elif found:
            target.write_bytes(found[0].read_bytes())
        else:
            target.write_bytes(_idx(shape))
    normalise = transforms.Normalize((0.1307,), (0.3081,))
    documented = MNIST(
        str(folder), transform=transforms.Compose([transforms.ToTensor(), normalise])
    )
    return Data(documented, DataConfig(name="mnist", downloads=folder), 28, "none")


_IDX = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


def _idx(shape: tuple[int, ...]) -> bytes:
    """Random content of MNIST's shape: what is in the pixels does not change the speed."""
    random = np.random.default_rng(0)
    values = random.integers(0, 256 if len(shape) == 3 else 10, shape, dtype=np.uint8)
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return header + values.tobytes()


def _make_images(folder: Path, *, count: int, size: int) -> Path:
    """JPEGs in ten class folders, with the detail of photographs: noise at every scale."""
    if folder.is_dir():
        return folder
    random = np.random.default_rng(0)
    for index in range(count):
        image = np.zeros((size, size, 3))
        for scale in (2, 4, 8, 16, size // 2):
            coarse = random.normal(size=(size // scale, size // scale, 3)) * scale
            image += np.kron(coarse, np.ones((scale, scale, 1)))[:size, :size]
        pixels = np.clip(128 + 4 * image, 0, 255).astype(np.uint8)
        target = folder / f"class{index % 10}" / f"{index:05}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target, quality=90)
    return folder
