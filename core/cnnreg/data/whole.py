"""Labelled images as they lie there, to be looked at: nothing is held out of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg.errors import DataError
from cnnreg.registry import Registry
from cnnreg.specs import Samples, Shape
from cnnreg.texts import composed

from .cache import cache_beside
from .config import DataConfig, dataset_of
from .dataset import Split
from .decode import Loader, skippable
from .listing import common_folder, compare_classes, places_in
from .opening import given_splits, open_source

if TYPE_CHECKING:
    from cnnreg.specs import Labels

ALL = "all"


def open_whole(
    registry: Registry, config: DataConfig, *, image_shape: Shape, classes: tuple[str, ...]
) -> dict[str, Split]:
    """The splits that the images came in, or a single one called "all".

    Labels are places in `classes`, of which some may be missing, and others have one image.
    Raises DataError for a class that is none of them.
    """
    source = open_source(dataset_of(registry, config.name), config, whole=True)
    given = given_splits(source)
    if len(given) == 1:
        given = {ALL: source.train}
    places = _places(source.classes, classes, config)
    cache = cache_beside(config.folder or config.downloads, config.name)
    total = sum(map(len, given.values()))

    def split(name: str, samples: Samples) -> Split:
        title = "labelled" if name == ALL else name
        loader = Loader(
            title, image_shape, config.resize, skippable(len(samples), total), None, cache
        )
        mapped = replace(samples, labels=places[samples.labels])
        return Split(mapped, loader, _root(samples, source.classes, config.folder))

    return {name: split(name, samples) for name, samples in given.items()}


def _places(named: tuple[str, ...], classes: tuple[str, ...], config: DataConfig) -> Labels:
    import numpy as np

    places = places_in(classes, named)
    if unknown := [name for name, place in zip(named, places, strict=True) if place is None]:
        difference = compare_classes(unknown, ())
        raise DataError(
            f"The data has other classes than the model: {difference}.",
            where=config.folder or config.name,
            hint="For a model of these: cnnreg train NETWORK --weights RUN --data FOLDER",
        )
    return np.array(places, np.int64)


def _root(samples: Samples, classes: tuple[str, ...], folder: Path | None) -> str:
    """What the class folders lie in, which a part with one class alone does not tell."""
    if folder is None or not samples.files:
        return common_folder(samples.files) if samples.files else ""
    first, *others = samples.files[0].relative_to(folder).parts
    in_split = composed(first) != classes[samples.labels[0]] and len(others) > 1
    return str(folder / first if in_split else folder)
