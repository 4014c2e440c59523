"""Handwritten digits that come with the package, so that everything works without a network.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, doi:10.24432/C50P49 (CC BY 4.0): its 1,797 test images, counts of ink 0..16, as
scikit-learn has them, divided into training and test images of the same share of each digit.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from cnnreg import DataRequest, DatasetSpec, Samples, SourceData, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy import ndarray

INK = 16  # of a black pixel


def open_digits(request: DataRequest) -> SourceData:
    import numpy as np

    with as_file(files(__package__) / "digits.npz") as file, np.load(file) as arrays:
        return SourceData(
            classes=tuple("0123456789"),
            train=_samples(arrays, "train"),
            test=_samples(arrays, "test"),
        )


def _samples(arrays: Mapping[str, ndarray], split: str) -> Samples:
    ink = arrays[f"{split}_images"]
    return Samples(
        labels=arrays[f"{split}_labels"].astype("int64"),
        pixels=(ink * (255 / INK)).round().astype("uint8")[..., None],
    )


@hookimpl
def cnnreg_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="digits",
            summary="1,797 real handwritten digits of 8x8 pixels, shown at 28x28; no download",
            open=open_digits,
            licence="CC-BY-4.0",
            url="https://archive.ics.uci.edu/dataset/80",
            num_classes=10,
            image_shape=(1, 28, 28),
            embedded=True,
            augment="crop",  # a mirrored digit is another digit or none
        )
    ]
