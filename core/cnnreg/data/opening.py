"""Open a data set: what came is checked, splits and shape are fixed; nothing is decoded yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnreg.errors import DataError, PluginError, UsageError
from cnnreg.images import MODES, Header, read_header
from cnnreg.plugins import blaming
from cnnreg.registry import Registry
from cnnreg.specs import DataRequest, DatasetSpec, Samples, Shape, SourceData
from cnnreg.specs.checks import is_harmless
from cnnreg.specs.data import AUGMENTATIONS

from .cache import cache_beside
from .config import DataConfig, dataset_of
from .dataset import Dataset, Moments, Split
from .decode import Loader, OnDecoded, skippable
from .listing import Places, common_folder
from .splits import complete

LARGEST_NATIVE = 96  # a folder's images that are all of one size and no larger keep it
PROBED = 64  # files whose headers decide the shape, with two of each class


def open_dataset(
    registry: Registry,
    config: DataConfig,
    *,
    fallback_size: Shape = (3, 224, 224),
    min_size: int = 1,
    channels: int | None = None,
    image_shape: Shape | None = None,
    before: Places | None = None,
    progress: OnDecoded | None = None,
) -> Dataset:
    """Find the images and fix their splits and shape; nothing is decoded yet.

    A trained model's `image_shape` is binding. Otherwise the shape is the data
    set's own, raised to `min_size`, with its own `channels` unless they are given;
    photographs get the height and width of `fallback_size`, the architecture's input.
    Images that were in a split `before` stay in it.
    """
    spec = dataset_of(registry, config.name)
    source = open_source(spec, config)
    parts = complete(source, config, before)
    cache = cache_beside(config.folder or config.downloads, config.name)
    shape = image_shape or _choose_shape(spec, parts.train, config, fallback_size, min_size)
    if image_shape is None and channels is not None:
        shape = (channels, *shape[1:])

    total = sum(len(part) for part in parts)
    roots = {name: common_folder(given.files) for name, given in given_splits(source).items()}

    def split(name: str, samples: Samples) -> Split:
        may_skip = skippable(len(samples), total)
        needed = source.classes if name == "train" else ()
        loader = Loader(name, shape, config.resize, may_skip, progress, cache, needed)
        return Split(samples, loader, roots.get(name, roots["train"]))

    return Dataset(
        name=spec.name,
        label=config.label,
        folder=config.folder,
        classes=source.classes,
        image_shape=shape,
        resize=config.resize,
        augment=source.augment or spec.augment,
        train=split("train", parts.train),
        val=split("val", parts.val),
        test=split("test", parts.test),
        published=_published(spec, shape),
        own_splits=tuple(roots),
        notes=source.notes,
    )


def open_source(spec: DatasetSpec, config: DataConfig, *, whole: bool = False) -> SourceData:
    """What the data set hands over, checked; `whole` as in DataRequest."""
    request = DataRequest(folder=config.folder, downloads=config.downloads, whole=whole)
    with blaming(f"Data set '{spec.name}'"):
        source = spec.open(request)
        names = tuple(source.classes) if isinstance(source, SourceData) else ()
        told = source.notes if isinstance(source, SourceData) else ()
        notes = (told,) if isinstance(told, str) else tuple(map(str, told))
    if not isinstance(source, SourceData):
        raise PluginError(f"Data set '{spec.name}' returned {type(source).__name__}.")
    for name, given in {"train": source.train, **given_splits(source)}.items():
        if not isinstance(given, Samples):
            raise PluginError(
                f"Data set '{spec.name}' has a {name} split that is {type(given).__name__}, "
                "not Samples."
            )
    splits: dict[str, Any] = {
        name: _checked(spec, given, len(names)) for name, given in given_splits(source).items()
    }
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise PluginError(f"Data set '{spec.name}' has classes whose names are no different texts.")
    if source.augment not in ("", *AUGMENTATIONS):
        raise PluginError(f"Data set '{spec.name}' asks to augment by {source.augment!r:.60}.")
    if not all(map(is_harmless, names)):
        raise PluginError(f"Data set '{spec.name}' has classes named with control characters.")
    return replace(source, classes=names, notes=notes, **splits)


def given_splits(source: SourceData) -> dict[str, Samples]:
    splits = {"train": source.train, "val": source.val, "test": source.test}
    return {name: samples for name, samples in splits.items() if samples is not None}


def _checked(spec: DatasetSpec, samples: Samples, classes: int) -> Samples:
    """With labels as int64 and files as paths, whatever integers and names were given."""
    import numpy as np

    labels, pixels = samples.labels, samples.pixels
    # Other libraries' tensors have a dtype and a shape too.
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise PluginError(f"Data set '{spec.name}' has labels that are no array of integers [N].")
    if not len(labels):
        raise DataError(f"Data set '{spec.name}' has an empty split.")
    if labels.min() < 0 or labels.max() >= classes:
        raise PluginError(f"Data set '{spec.name}' has labels outside its {classes} classes.")
    if pixels is not None and not _are_images(pixels):
        shown = f"{getattr(pixels, 'dtype', '')} {list(getattr(pixels, 'shape', []))}"
        raise PluginError(
            f"Data set '{spec.name}' has pixels {type(pixels).__name__} {shown}; "
            "a numpy array, uint8 [N, H, W, 1 or 3], is needed."
        )
    with blaming(f"Data set '{spec.name}'"):
        files = tuple(f if isinstance(f, Path) else Path(f) for f in samples.files)
    return replace(samples, labels=np.ascontiguousarray(labels, np.int64), files=files)


def _are_images(pixels: Any) -> bool:
    import numpy as np

    right = isinstance(pixels, np.ndarray) and pixels.dtype.name == "uint8"
    return right and pixels.ndim == 4 and pixels.shape[3] in MODES


def _choose_shape(
    spec: DatasetSpec, samples: Samples, config: DataConfig, fallback: Shape, min_size: int
) -> Shape:
    channels, height, width = spec.image_shape or _found_shape(samples, fallback)
    if config.image_size is None:
        return channels, max(height, min_size), max(width, min_size)
    if config.image_size < min_size:
        raise UsageError(
            f"Image size {config.image_size} is too small for this network.",
            hint=f"It takes {min_size} or more.",
        )
    return channels, config.image_size, config.image_size


def _found_shape(samples: Samples, fallback: Shape) -> Shape:
    if samples.pixels is not None:
        _, height, width, channels = samples.pixels.shape
        return channels, height, width
    headers = _probe(samples)
    channels = 1 if all(header.grey for header in headers) else 3
    sizes = {(header.height, header.width) for header in headers}
    height, width = sizes.pop()
    if sizes or max(height, width) > LARGEST_NATIVE:
        return channels, fallback[1], fallback[2]
    return channels, height, width


def _probe(samples: Samples) -> list[Header]:
    """Of files all over, and of the first and the last of each class, however small it is."""
    import numpy as np

    headers, errors = [], []
    count = len(samples)
    _, first = np.unique(samples.labels, return_index=True)
    _, last = np.unique(samples.labels[::-1], return_index=True)
    spread = range(0, count, -(-count // PROBED))
    for index in sorted({*spread, *first.tolist(), *(count - 1 - last).tolist()}):
        try:
            headers.append(read_header(samples.files[index]))
        except DataError as error:
            errors.append(error)
    if not headers:
        raise errors[0]
    return headers


def _published(spec: DatasetSpec, shape: Shape) -> Moments | None:
    if spec.mean is None or spec.std is None or len(spec.mean) != shape[0]:
        return None
    return spec.mean, spec.std
