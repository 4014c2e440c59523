"""A data set: where its images come from, and what is handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnreg.recipe import CHOICES

from .checks import (
    check,
    check_functions,
    check_kinds,
    check_line,
    check_moments,
    check_name,
    check_shape,
)
from .types import Shape

if TYPE_CHECKING:
    from .types import Labels, Pixels

DOWNLOADS = Path("data")
"""Where downloaded files lie or go, unless one says otherwise."""

AUGMENTATIONS = tuple(choice for choice in CHOICES["augment"] if choice != "auto")
"""What a recipe's `auto` may mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Labelled images of one split, either as pixels or as the files that hold them."""

    labels: Labels
    pixels: Pixels | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        held = len(self.files) if self.pixels is None else len(self.pixels)
        check(held == len(self.labels), f"{held} images but {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceData:
    """What a data set hands over; a missing validation or test split is held out later."""

    classes: tuple[str, ...]
    train: Samples
    val: Samples | None = None
    test: Samples | None = None
    notes: tuple[str, ...] = ()  # said before a training: what was not used, say
    augment: str = ""  # what `augment = auto` means for these images, if not as for most


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRequest:
    """Where to look: `downloads` is where files lie or go.

    `folder` was named in place of a data set, and is for the one called so, which reads it.

    `whole` says that nothing will be trained: what classes and splits are there will do.
    """

    folder: Path | None = None
    downloads: Path = DOWNLOADS
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    name: str
    summary: str
    open: Callable[[DataRequest], SourceData]
    licence: str
    url: str = ""
    num_classes: int | None = None  # None: found in the data
    image_shape: Shape | None = None  # None: found in the data
    mean: tuple[float, ...] | None = None  # of pixels scaled to 0..1; None: measured
    std: tuple[float, ...] | None = None
    embedded: bool = False  # comes with an installed package: no download
    augment: str = "crop-flip"  # what `augment = auto` means for these images

    def __post_init__(self) -> None:
        check_name("data set", self.name)
        check_line(self.name, "summary", self.summary)
        check_line(self.name, "licence", self.licence)
        check_functions(self.name, open=self.open)
        check_kinds(self.name, url=(self.url, str), embedded=(self.embedded, bool))
        if self.num_classes is not None:
            check_kinds(self.name, num_classes=(self.num_classes, int))
        check(
            self.augment in AUGMENTATIONS,
            f"{self.name}: augment must be one of {', '.join(AUGMENTATIONS)}, "
            f"not {self.augment!r:.60}",
        )
        channels: tuple[int, ...] = (1, 3)
        if self.image_shape is not None:
            check_shape(self.name, self.image_shape)
            count = self.image_shape[0]
            check(count in channels, f"{self.name}: images have 1 or 3 channels, not {count}")
            channels = (count,)
        if self.mean is not None or self.std is not None:
            check_moments(self.name, self.mean, self.std, channels)
