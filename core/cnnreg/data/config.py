"""Which data, and how they become splits and images: stored in the run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

from cnnreg.errors import DataError, UnknownNameError, UsageError
from cnnreg.registry import OURS, Entry, Registry
from cnnreg.specs import DatasetSpec, Resize
from cnnreg.specs.data import DOWNLOADS

FOLDER = "folder"
"""The data set that reads a folder of class folders."""

VAL_FRACTION, TEST_FRACTION = 0.1, 0.2
"""Of the training images, what is held out where the data come without such a split."""

SPLIT = ("split_seed", "val_fraction", "test_fraction")
"""The fields that decide which images are held out."""

ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet")

LONGEST_LABEL = 40  # characters: it is part of folders' names


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Enough to open the same images in the same splits again.

    `resize` is `squash` by default: it alone neither cuts away the object at the
    edge nor invents a border, and training sees the same distortion as inference.
    """

    name: str
    folder: Path | None = None
    downloads: Path = DOWNLOADS
    image_size: int | None = None  # height and width; None: chosen from data and network
    resize: Resize = "squash"
    split_seed: int = 0
    val_fraction: float = VAL_FRACTION
    test_fraction: float = TEST_FRACTION

    def __post_init__(self) -> None:
        if self.image_size is not None and not (
            type(self.image_size) is int and self.image_size > 0
        ):
            raise ValueError(f"image size must be a whole number above 0, not {self.image_size}")
        if self.resize not in get_args(Resize):
            raise ValueError(f"resize {self.resize!r} is not one of {get_args(Resize)}")
        if self.split_seed < 0:
            raise ValueError(f"split seed must not be negative: {self.split_seed}")
        for fraction in (self.val_fraction, self.test_fraction):
            if not 0 < fraction <= 0.5:  # so that three images give one to each split
                raise ValueError(f"split fraction {fraction} must be above 0 and at most 0.5")

    @property
    def label(self) -> str:
        """The data set's name, or the folder's, with what a file name cannot hold replaced."""
        if self.name != FOLDER or self.folder is None:
            return self.name.replace(":", ".")  # of plugin:name
        return re.sub(r"[^\w.-]+", "_", self.folder.name)[:LONGEST_LABEL].strip(".") or FOLDER

    @classmethod
    def from_data(cls, data: Any) -> DataConfig:
        """Back from JSON. Raises ValueError, KeyError or TypeError for anything else."""
        known = {field.name for field in fields(cls)}
        if unknown := set(data) - known:
            raise ValueError(f"unknown data field {min(unknown)!r}")
        folder, size = data["folder"], data["image_size"]
        return cls(
            name=str(data["name"]),
            folder=None if folder is None else Path(folder),
            downloads=Path(data["downloads"]),
            image_size=None if size is None else int(size),
            resize=data["resize"],
            split_seed=int(data["split_seed"]),
            val_fraction=float(data["val_fraction"]),
            test_fraction=float(data["test_fraction"]),
        )


def data_config(
    text: str,
    registry: Registry,
    *,
    note: Callable[[str], None] = lambda text: None,
    **settings: Any,
) -> DataConfig:
    """What `--data` means: a data set of the registry, or else a folder.

    `note` is told where it is a folder's name too. `settings` are the other fields of DataConfig.
    A path that is no folder raises DataError, a mere word that names nothing UnknownNameError,
    wrong settings UsageError.
    """
    if not text.strip():
        raise UsageError("The name of the data is empty.", hint="Say --data FOLDER, or a name.")
    settings["downloads"] = _whole(settings.get("downloads", DOWNLOADS))
    if text in registry.datasets:
        if os.path.isdir(text):  # noqa: PTH112 - never raises
            note(f"'{text}' is the data set; the folder of that name is ./{text}")
        return _checked(name=text, **settings)
    folder = _whole(text)
    if os.path.isdir(folder):  # noqa: PTH112
        return _checked(name=FOLDER, folder=folder, **settings)
    if os.path.exists(folder):  # noqa: PTH110
        raise DataError(
            "This is a file; a folder of class folders is needed.",
            where=folder,
            hint=_instead_of(folder.name.lower()),
        )
    named = [name for name in registry.datasets if name != FOLDER]  # which is no name of data
    if _looks_like_path(text):
        raise DataError(
            "There is no such folder.",
            where=folder,
            hint=f"Data sets by name: {', '.join(named)}.",
        )
    raise UnknownNameError("data set or folder", text, named)


def dataset_of(registry: Registry, name: str) -> DatasetSpec:
    """The data set of that name; ours for folders, which users do not call by its name."""
    if name == FOLDER:
        for entry in registry.datasets.entries:
            if reads_folders(entry):
                return entry.spec
    return registry.datasets[name]


def reads_folders(entry: Entry[DatasetSpec]) -> bool:
    """Whether it is ours for folders: no other is given the one that `--data` names."""
    return entry.spec.name == FOLDER and entry.plugin.distribution == OURS


def same_data(registry: Registry, one: DataConfig, other: DataConfig) -> bool:
    """Whether both are read by the same data set, however it is spelt."""
    known = one.name in registry.datasets and other.name in registry.datasets
    return known and dataset_of(registry, one.name) is dataset_of(registry, other.name)


def _checked(**fields: Any) -> DataConfig:
    try:
        return DataConfig(**fields)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}.") from error


def expanded(path: Path | str) -> Path:
    """With a leading ~ or ~user replaced."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError("There is no home folder of that name.", where=path) from error


def _instead_of(file: str) -> str:
    """What to do with a file of that name."""
    if file.endswith(ARCHIVES) or ".tar." in file:
        return "Unpack it first, and name the folder."
    if file.endswith(TABLES):
        return (
            "Copy or link each picture into a folder of its class, "
            "or write a data set: docs/plugins.md"
        )
    return ""


def _whole(path: Path | str) -> Path:
    """Absolute, and without `..`: a run must not depend on the folder that one stood in."""
    return Path(os.path.abspath(expanded(path)))  # noqa: PTH100 - links are not to be followed


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "~")) or any(mark in text for mark in "/\\")
