"""MNIST and Fashion-MNIST, in torchvision's layout or as the four published files."""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg import (
    DataError,
    DataRequest,
    DatasetSpec,
    Samples,
    SourceData,
    hookimpl,
)

from .downloads import Published, download, from_torchvision, search_roots

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGITS = tuple("0123456789")
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
FILES = tuple(f"{part}-ubyte" for part in PARTS)


def _published(title: str, name: str, megabytes: int, *servers: str) -> Published:
    return Published(
        title=title,
        folder=f"{name}/raw",
        urls=tuple(f"{server}{FILES[-1]}.gz" for server in servers),
        fetch=partial(from_torchvision, name, download=True),
        by_hand=tuple(f"{file}.gz" for file in FILES),
        by_hand_folder=f"{name}/raw",
        megabytes=megabytes,
    )


MNIST = _published("MNIST", "MNIST", 12, "https://ossci-datasets.s3.amazonaws.com/mnist/")
FASHION = _published(
    "Fashion-MNIST",
    "FashionMNIST",
    31,
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)


def open_mnist(published: Published, classes: tuple[str, ...], request: DataRequest) -> SourceData:
    folder = _find(published, request) or download(published, request)
    images, labels, test_images, test_labels = (read_idx(folder, file) for file in FILES)
    return SourceData(
        classes=classes,
        train=_samples(images, labels, folder),
        test=_samples(test_images, test_labels, folder),
    )


def read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An array of bytes, plain or gzipped: two zeros, type 8, rank, sizes (big-endian), data."""
    import numpy as np

    path = _file(folder, name)
    if path is None:
        raise DataError(f"The file {name} is missing.", where=folder)
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        if content[:3] != b"\0\0\x08":
            raise ValueError("not an IDX file of bytes")
        rank = content[3]
        sizes = np.frombuffer(content, ">u4", rank, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(sizes)
    except (OSError, ValueError, IndexError, EOFError, zlib.error) as error:
        raise DataError(f"Damaged file: {error}.", where=path, hint="Download it again.") from error


def _samples(images: NDArray[np.uint8], labels: NDArray[np.uint8], folder: Path) -> Samples:
    import numpy as np

    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            f"Images {images.shape} and labels {labels.shape} do not belong together.", where=folder
        )
    return Samples(labels=labels.astype(np.int64), pixels=images[..., None])


def _find(published: Published, request: DataRequest) -> Path | None:
    for root in search_roots(request):
        layout = root / published.folder
        bare = (place for place in (root / "raw", root) if _is_about(place, published))
        for place in (layout, *bare):
            if all(_file(place, file) for file in FILES):
                return place
    return None


def _is_about(place: Path, published: Published) -> bool:
    """The two data sets use the same file names: only the folders' names tell them apart."""
    is_fashion = "fashion" in f"{place.parent.name}/{place.name}".lower()
    return is_fashion == (published is FASHION)


def _file(folder: Path, name: str) -> Path | None:
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


@hookimpl
def cnnreg_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="mnist",
            summary="70,000 handwritten digits of 28x28 pixels",
            open=partial(open_mnist, MNIST, DIGITS),
            licence="CC-BY-SA-3.0",
            url="http://yann.lecun.com/exdb/mnist/",
            num_classes=10,
            image_shape=(1, 28, 28),
            mean=(0.1307,),
            std=(0.3081,),
            augment="crop",  # a mirrored digit is another digit or none
        ),
        DatasetSpec(
            name="fashion-mnist",
            summary="70,000 pieces of clothing of 28x28 pixels",
            open=partial(open_mnist, FASHION, CLOTHES),
            licence="MIT",
            url="https://github.com/zalandoresearch/fashion-mnist",
            num_classes=10,
            image_shape=(1, 28, 28),
            mean=(0.2860,),
            std=(0.3530,),
        ),
    ]
