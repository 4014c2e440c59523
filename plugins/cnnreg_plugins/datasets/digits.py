"""scikit-learn's handwritten digits: embedded, so that everything works without a network."""

from __future__ import annotations

from cnnreg import DataRequest, DatasetSpec, MissingExtraError, Samples, SourceData, hookimpl


def open_digits(request: DataRequest) -> SourceData:
    import numpy as np

    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "train") from error

    digits = load_digits()
    pixels = (digits.images * (255 / 16)).round().astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    return SourceData(
        classes=tuple(str(name) for name in digits.target_names),
        train=Samples(labels=labels[train], pixels=pixels[train]),
        test=Samples(labels=labels[test], pixels=pixels[test]),
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
