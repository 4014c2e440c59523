"""What is timed on: the run's images, any pictures that are named, or noise."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnnreg.belongings import pictures_below
from cnnreg.data.dataset import Split
from cnnreg.data.decode import Loader
from cnnreg.errors import DataError, MachineError, PluginError, UsageError
from cnnreg.registry import Registry
from cnnreg.run_data import data_for_model, named_data
from cnnreg.specs import ModelContract, ModelFile, Samples

from .bench import batches_to_time

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

IMAGES = 64


class Timed(NamedTuple):
    pixels: Pixels
    warning: str = ""  # where they are noise


def images_to_time(
    registry: Registry,
    model: ModelFile,
    path: Path,
    *,
    data: str | Path | None,
    data_dir: Path | None,
    batch: int,
) -> Timed:
    """Enough for the batches that are timed, repeated if there are too few.

    Neither classes nor splits matter to time, so that any folder of pictures will do. Where none
    is named and the model's own cannot be had, they are noise.
    """
    count = max(IMAGES, batch * batches_to_time(batch, prod(model.contract.input_shape)))
    if data is not None:
        folder = named_data(registry, model, path, data, data_dir).folder
        if folder is not None:
            return Timed(_enough(pictures(folder, model.contract), count, batch))
    try:
        images = data_for_model(registry, model, path, data, data_dir).val
        return Timed(_enough(images, count, batch))
    except (DataError, MachineError, PluginError, UsageError) as error:
        if data is not None or data_dir is not None:
            raise
        why = f"on noise, not on your images: {error.what} Name pictures with --data."
        return Timed(noise(model.contract, count), why)


def pictures(folder: Path, contract: ModelContract) -> Split:
    """All below it. Raises DataError if there are none."""
    import numpy as np

    files = pictures_below(folder)
    samples = Samples(labels=np.zeros(len(files), np.int64), files=tuple(files))
    loader = Loader("named", contract.input_shape, contract.resize, may_skip=len(files))
    return Split(samples, loader, str(folder))


def noise(contract: ModelContract, count: int) -> Pixels:
    """The same each time."""
    import numpy as np

    channels, height, width = contract.input_shape
    shape = (count, height, width, channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _enough(images: Split, count: int, batch: int) -> Pixels:
    import numpy as np

    pixels: Pixels = images.take(count, seed=0).pixels
    repeats = -(-batch // len(pixels))
    return np.tile(pixels, (repeats, 1, 1, 1)) if repeats > 1 else pixels
