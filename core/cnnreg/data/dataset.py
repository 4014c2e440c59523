"""A data set: its splits, their pixels once they are looked at, mean and deviation."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg.errors import DataError
from cnnreg.specs import Resize, Samples, Shape

from .decode import TOLD, Loaded, Loader
from .listing import Listed, places_in, relative_names
from .splits import select, shuffled
from .twins import Place, twins_told

if TYPE_CHECKING:
    from cnnreg.specs import Labels, Pixels

LEAST_DEVIATION = 5  # levels of 256: twelve bits in sixteen have not more
PROBED = 64  # images that it is estimated from

Moments = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, pixels scaled to 0..1."""


class Split:
    """One split's images. Files are decoded when `pixels` or `labels` is first asked for."""

    def __init__(self, samples: Samples, load: Loader, root: str) -> None:
        """Files are named below `root`, which other splits may share: no cut renames them."""
        self._samples = samples
        self._load = load
        self._root = root

    @property
    def samples(self) -> Samples:
        """What it is made of, as the data set gave it: nothing is decoded."""
        return self._samples

    @cached_property
    def _loaded(self) -> Loaded:
        return self._load(self._samples)

    @property
    def pixels(self) -> Pixels:
        """uint8 [N, H, W, C], not to be written to: they may be mapped from a file."""
        return self._loaded.pixels

    @property
    def labels(self) -> Labels:
        """int64 [N]."""
        return self._loaded.labels

    @property
    def files(self) -> tuple[Path, ...]:
        """Of the images, one each; empty where the data set holds pixels."""
        return self._loaded.files

    @property
    def skipped(self) -> tuple[DataError, ...]:
        """Files that could not be read, each with its path."""
        return self._loaded.skipped

    @property
    def note(self) -> str:
        """Where the pixels lie, if not simply in memory."""
        return self._loaded.note

    def remarks(self) -> Iterator[str]:
        """In words: the first files that could not be read, and where the pixels lie."""
        for error in self.skipped[:TOLD]:
            yield f"skipped an unreadable {self._load.split} image: {error.where}: {error.what}"
        if (rest := len(self.skipped) - TOLD) > 0:
            yield f"and {rest:,} more"
        if self.note:
            yield self.note

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
        for size, name in self.listing:
            update(os.fsencode(f"{name} {size}\n"))

    @cached_property
    def listing(self) -> list[tuple[int, str]]:
        """Bytes and relative name of each file, the unreadable ones too; a broken link has none."""
        files = self._samples.files
        return list(zip(map(_bytes, files), relative_names(files, self._root), strict=True))

    def __len__(self) -> int:
        return len(self.labels)

    def relabelled(self, places: Labels, classes: tuple[str, ...]) -> Split:
        """The same images with other labels: label n becomes `places[n]`, a place in `classes`."""
        samples = replace(self._samples, labels=places[self._samples.labels])
        load = replace(self._load, classes=classes if self._load.classes else ())
        return Split(samples, load, self._root)

    def take(self, count: int, *, seed: int = 0, after: int = 0) -> Split:
        """A random part of that many images at most; only these are decoded.

        None that are taken with `count` up to `after`, as far as there are others.
        """
        import numpy as np

        if count >= len(self._samples):
            return self
        first = min(after, len(self._samples) - count)
        chosen = np.sort(shuffled(len(self._samples), seed)[first : first + count])
        part = select(self._samples, chosen)
        return Split(part, replace(self._load, cache=None, classes=()), self._root)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    name: str
    label: str  # what users know it by
    folder: Path | None  # where the images lie, of a data set of one's own
    classes: tuple[str, ...]
    image_shape: Shape
    resize: Resize
    augment: str  # what `auto` means for these images
    train: Split
    val: Split
    test: Split
    published: Moments | None = None  # None: measured on the training images
    own_splits: tuple[str, ...] = ()  # that the images came in; the others were held out here
    notes: tuple[str, ...] = ()  # by the data set

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def mean(self) -> tuple[float, ...]:
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        return self._moments[1]

    @cached_property
    def _moments(self) -> Moments:
        return self.published or measure(self.train)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the classes and what the splits are made of; nothing is decoded."""
        digest = sha256("\0".join(self.classes).encode())
        for split in self.splits.values():
            split.identify(digest.update)
        return digest.hexdigest()

    def in_order(self, classes: tuple[str, ...]) -> Dataset:
        """With the same classes in another order."""
        import numpy as np

        if classes == self.classes:
            return self
        places = np.array(places_in(classes, self.classes), np.int64)
        splits: dict[str, Any] = {
            name: split.relabelled(places, classes) for name, split in self.splits.items()
        }
        return replace(self, classes=classes, **splits)

    def decode(self) -> None:
        """All splits, which takes a while: what cannot be read is known before the work."""
        for split in self.splits.values():
            _ = split.pixels

    def remarks(self) -> Iterator[str]:
        """What a person should know of the images; all but the first are known once decoded."""
        yield from self.notes
        for split in self.splits.values():
            yield from split.remarks()
        if told := twins_told(self._places()):
            yield told
        if (deviation := _spread(self.train)) < LEAST_DEVIATION:
            yield (
                f"the training images are nearly uniform (deviation {deviation:.1f} of 255): of "
                "16-bit pictures the upper eight bits are used; stretch those first"
            )

    def _places(self) -> Iterator[Place]:
        """Each image file that could be read; none where the images came as pixels."""
        for name, split in self.splits.items():
            if split.files:
                yield from map(Place, repeat(name), split.labels.tolist(), split.files)

    def listing(self) -> Iterator[Listed]:
        """The image files of all splits; none where the images came as pixels."""
        for name, split in self.splits.items():
            for size, file in split.listing:
                yield name, size, file


def measure(split: Split) -> Moments:
    """Exact, from a histogram of the 256 levels of each channel."""
    import numpy as np

    levels = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(split.pixels.shape[3]):
        counts = np.zeros(256)
        for first in range(0, len(split), 1024):  # bincount makes 8 bytes of each pixel
            block = split.pixels[first : first + 1024, :, :, channel]
            counts += np.bincount(block.ravel(), minlength=256)
        share = counts / counts.sum()
        mean = float(share @ levels)
        means.append(mean)
        deviations.append(float(np.sqrt(share @ (levels - mean) ** 2)))
    # Images of one constant colour have no deviation to divide by: one level then.
    return tuple(means), tuple(max(deviation, 1 / 255) for deviation in deviations)


def _spread(split: Split) -> float:
    """The standard deviation in levels, of some images all over the split: a hint, not exact."""
    step = -(-len(split) // PROBED)
    return float(split.pixels[::step].std())


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # the latter of a name that the system cannot hold
        return 0
