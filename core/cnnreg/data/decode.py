"""From files, or from pixels of another size, to the model's pixels in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnnreg.errors import DataError, MachineError
from cnnreg.images import fit, from_pixels, read_image
from cnnreg.machine.environment import usable_processors
from cnnreg.specs import Resize, Samples, Shape

from .cache import Cache, Store, is_large
from .cache_key import cache_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cnnreg.specs import Labels, Pixels

OnDecoded = Callable[[str, int, int], None]
"""(split, images done, images in all), called from the thread that asked."""

BAD_SHARE = 0.01  # of a split's files: more says that the data set, not a file, is broken
TOLD = 3  # unreadable files of a split that are told of one by one
PHOTOGRAPH = 400 << 20  # bytes that one of 50 megapixels takes while it is turned upright
BLOCK = 64  # images a worker takes at a time


class Loaded(NamedTuple):
    pixels: Pixels
    labels: Labels
    files: tuple[Path, ...] = ()  # of these images, where there are any
    skipped: tuple[DataError, ...] = ()  # unreadable files, each with its path
    note: str = ""  # what a person should know of it


def skippable(files: int, total: int) -> int:
    """How many of a split's files may be unreadable; `total` is of all splits.

    One may always be damaged where there are enough images, however small its split.
    """
    return max(int(files * BAD_SHARE), int(total * BAD_SHARE >= 1))


@dataclass(frozen=True, slots=True)
class Loader:
    """Makes the pixels of one split; Pillow decodes without the GIL, so threads suffice."""

    split: str
    image_shape: Shape
    resize: Resize
    may_skip: int = 0
    progress: OnDecoded | None = None
    cache: Cache | None = None  # where pixels go that memory should not hold
    classes: tuple[str, ...] = ()  # each of which must keep an image; of a part none must

    def __call__(self, samples: Samples) -> Loaded:
        """Raises DataError if more than `may_skip` files, or all of a class, cannot be read."""
        import numpy as np

        channels, height, width = self.image_shape
        shape = (len(samples), height, width, channels)
        if samples.pixels is not None and samples.pixels.shape == shape:
            return Loaded(np.require(samples.pixels, requirements=("C", "W")), samples.labels)
        note = ""
        if self.cache is not None and is_large(shape):
            try:
                return self._cached(samples, shape, self.cache)
            except MachineError as error:  # memory will do, if it can
                note = f"decoding the {self.split} images into memory: {error}"
        _check_memory(self.split, shape, note)
        pixels = np.empty(shape, np.uint8)

        def store(first: int, images: Pixels) -> None:
            pixels[first : first + len(images)] = images

        skipped = self.fill(samples, store)
        if not skipped:
            return Loaded(pixels, samples.labels, samples.files, note=note)
        good = self._good(samples, skipped)
        skips = tuple(skipped.values())
        return Loaded(pixels[good], samples.labels[good], _files(samples, good), skips, note)

    def _cached(self, samples: Samples, shape: tuple[int, ...], cache: Cache) -> Loaded:
        """The pixels in a file, decoded into it if it is not there yet. Raises MachineError."""
        key = cache_key(samples, self.image_shape, self.resize)
        # Each size has one of its own: networks that want different ones may run at once.
        name = f"{self.split}-{'x'.join(map(str, self.image_shape))}-{self.resize}"
        kept = cache.open(name, key, shape)
        if kept is not None and any(self._readable(samples, row) for row in kept.skipped):
            kept = None  # closed, so that another can take its place
        if kept is None:
            kept = cache.make(name, key, shape, lambda store: self.fill(samples, store))
        note = f"the {self.split} images are read from {kept.folder}, decoded once"
        good = self._good(samples, kept.skipped)
        skips = tuple(kept.skipped.values())
        return Loaded(kept.pixels, samples.labels[good], _files(samples, good), skips, note)

    def fill(self, samples: Samples, store: Store) -> dict[int, DataError]:
        """Decode each image into its row of `store`; returns those that cannot be read.

        To the end, whatever is met: all that have to be mended are known then.
        """
        skipped = dict(self._failures(samples, store))
        if len(skipped) > self.may_skip or len(skipped) == len(samples):
            raise self._too_many(list(skipped.values()), len(samples))
        return skipped

    def _failures(self, samples: Samples, store: Store) -> Iterator[tuple[int, DataError]]:
        import numpy as np

        channels, height, width = self.image_shape

        def fill(block: range) -> list[tuple[int, DataError]]:
            failed = []
            images = np.zeros((len(block), height, width, channels), np.uint8)
            for row, index in enumerate(block):
                try:
                    images[row] = self._image(samples, index)
                except DataError as error:
                    failed.append((index, error))
            store(block.start, images)
            return failed

        total = len(samples)
        blocks = [range(first, min(first + BLOCK, total)) for first in range(0, total, BLOCK)]
        pool = ThreadPoolExecutor(max_workers=_workers())
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

    def _readable(self, samples: Samples, index: int) -> bool:
        """Whether it can be read now: a disk may have failed for a while only."""
        try:
            self._image(samples, index)
        except DataError:
            return False
        return True

    def _good(self, samples: Samples, skipped: Mapping[int, DataError]) -> NDArray[np.intp]:
        """The rows that could be read. Raises DataError if a class has none."""
        import numpy as np

        good = np.setdiff1d(np.arange(len(samples)), list(skipped))
        held = np.bincount(samples.labels[good], minlength=len(self.classes))
        for label, name in enumerate(self.classes):
            if not held[label]:
                lost = [error for row, error in skipped.items() if samples.labels[row] == label]
                raise DataError(
                    f"None of the {self.split} images of class '{name}' can be read.",
                    hint=f"Mend or remove them: {_listed(lost)}",
                )
        return good

    def _too_many(self, skipped: list[DataError], total: int) -> DataError:
        lines = "".join(f"{error.where}: {error.what}\n" for error in skipped)
        name = f"unreadable-{self.split}.txt"
        path = self.cache.keep(name, lines) if self.cache and len(skipped) > TOLD else None
        listed = f", all listed in {path}" if path else ""
        return DataError(
            f"Too many {self.split} images cannot be read: {len(skipped):,} of {total:,}, "
            f"{self.may_skip} may be skipped.",
            hint=f"Mend or remove them{listed}: {_listed(skipped)}",
        )


def _workers() -> int:
    """A processor each, and room for a large photograph."""
    import psutil

    room = psutil.virtual_memory().available // PHOTOGRAPH
    return max(1, min(usable_processors(), room))


def _listed(skipped: Sequence[DataError]) -> str:
    return "; ".join(f"{error.where}: {error.what}" for error in skipped[:TOLD])


def _files(samples: Samples, good: NDArray[np.intp]) -> tuple[Path, ...]:
    return tuple(samples.files[index] for index in good) if samples.files else ()


def _check_memory(split: str, shape: tuple[int, ...], note: str) -> None:
    import psutil

    needed = shape[0] * shape[1] * shape[2] * shape[3]
    free = psutil.virtual_memory().available
    if needed > free:
        raise MachineError(
            f"The {split} images need {needed / 1e9:.1f} GB of memory at {shape[2]}x{shape[1]}, "
            f"{free / 1e9:.1f} GB is free.",
            hint=f"Choose a smaller image size. {note}".strip(),
        )
