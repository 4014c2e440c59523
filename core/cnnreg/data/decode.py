"""From files, or from pixels of another size, to the model's pixels in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from cnnreg.errors import DataError, MachineError
from cnnreg.images import fit, from_pixels, read_image
from cnnreg.specs import Resize, Samples, Shape

from .splits import select, shuffled

if TYPE_CHECKING:
    from cnnreg.specs import Labels, Pixels

Progress = Callable[[str, int, int], None]
"""(split, images done, images in all), called from the thread that asked."""

BAD_SHARE = 0.01  # of a split's files: more says that the data set, not a file, is broken
BLOCK = 64  # images a worker takes at a time


class Loaded(NamedTuple):
    pixels: Pixels
    labels: Labels
    skipped: tuple[DataError, ...] = ()  # unreadable files, each with its path


@dataclass(frozen=True, slots=True)
class Loader:
    """Makes the pixels of one split; Pillow decodes without the GIL, so threads suffice."""

    split: str
    image_shape: Shape
    resize: Resize
    may_skip: int = 0
    progress: Progress | None = None

    def __call__(self, samples: Samples) -> Loaded:
        """Raises DataError if more than `may_skip` files, or all, cannot be read."""
        import numpy as np

        channels, height, width = self.image_shape
        shape = (len(samples), height, width, channels)
        if samples.pixels is not None and samples.pixels.shape == shape:
            return Loaded(np.require(samples.pixels, requirements=("C", "W")), samples.labels)
        _check_memory(self.split, shape)
        pixels = np.empty(shape, np.uint8)
        skipped = {}
        for index, error in self._fill(samples, pixels):
            skipped[index] = error
            if len(skipped) > self.may_skip or len(skipped) == len(samples):
                raise self._too_many(list(skipped.values()), len(samples))
        if not skipped:
            return Loaded(pixels, samples.labels)
        good = np.setdiff1d(np.arange(len(samples)), list(skipped))
        return Loaded(pixels[good], samples.labels[good], tuple(skipped.values()))

    def _fill(self, samples: Samples, pixels: Pixels) -> Iterator[tuple[int, DataError]]:
        """Write each image into its row of `pixels`; yields those that cannot be read."""

        def fill(block: range) -> list[tuple[int, DataError]]:
            failed = []
            for index in block:
                try:
                    pixels[index] = self._image(samples, index)
                except DataError as error:
                    failed.append((index, error))
            return failed

        total = len(samples)
        blocks = [range(first, min(first + BLOCK, total)) for first in range(0, total, BLOCK)]
        pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        try:
            for block, failed in zip(blocks, pool.map(fill, blocks), strict=True):
                yield from failed
                if self.progress:
                    self.progress(self.split, block.stop, total)
        finally:
            pool.shutdown(cancel_futures=True)

    def _image(self, samples: Samples, index: int) -> Pixels:  # [H, W, C]
        channels, height, width = self.image_shape
        if samples.pixels is None:
            image = read_image(samples.files[index], channels)
        else:
            image = from_pixels(samples.pixels[index], channels)
        return fit(image, height, width, self.resize)

    def _too_many(self, skipped: list[DataError], total: int) -> DataError:
        listed = "; ".join(f"{error.where}: {error.what}" for error in skipped[:3])
        return DataError(
            f"Too many {self.split} images cannot be read: {len(skipped)} of {total} so far, "
            f"{self.may_skip} may be skipped.",
            hint=f"Mend or remove them: {listed}",
        )


class Split:
    """One split's images. Files are decoded when `pixels` or `labels` is first asked for."""

    def __init__(self, samples: Samples, load: Callable[[Samples], Loaded]) -> None:
        self._samples = samples
        self._load = load

    @cached_property
    def _loaded(self) -> Loaded:
        return self._load(self._samples)

    @property
    def pixels(self) -> Pixels:
        """uint8 [N, H, W, C]."""
        return self._loaded.pixels

    @property
    def labels(self) -> Labels:
        """int64 [N]."""
        return self._loaded.labels

    @property
    def skipped(self) -> tuple[DataError, ...]:
        """Files that could not be read, each with its path."""
        return self._loaded.skipped

    def identify(self, update: Callable[[bytes], object]) -> None:
        """Feed a hash with the labels and the pixels, or with the files' names and sizes.

        Names are relative, so that a folder may be moved as a whole.
        """
        samples = self._samples
        update(samples.labels.astype("<i8").tobytes())
        if samples.pixels is not None:
            update(str(samples.pixels.shape).encode())
            update(samples.pixels.tobytes())
            return
        root = os.path.commonpath([path.parent for path in samples.files])
        for path in samples.files:
            update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode())

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, count: int, *, seed: int = 0) -> Split:
        """A random part of that many images at most; only these are decoded."""
        import numpy as np

        if count >= len(self._samples):
            return self
        chosen = np.sort(shuffled(len(self._samples), seed)[:count])
        return Split(select(self._samples, chosen), self._load)


def _check_memory(split: str, shape: tuple[int, ...]) -> None:
    import psutil

    needed = shape[0] * shape[1] * shape[2] * shape[3]
    free = psutil.virtual_memory().available
    if needed > free:
        raise MachineError(
            f"The {split} images need {needed / 1e9:.1f} GB of memory at {shape[2]}x{shape[1]}, "
            f"{free / 1e9:.1f} GB is free.",
            hint="Choose a smaller image size.",
        )
