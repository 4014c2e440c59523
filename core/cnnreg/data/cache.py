"""Decoded pixels in a file beside the data, for splits that memory should not hold.

<data folder>/.cnnreg-cache/<data set>/train-3x224x224-squash-0123456789ab/
    pixels.bin          uint8 [N, H, W, C], nothing else; mapped, not read
    index.json          what they were made of, their shape, the files that could not be read

Each entry is a folder that appears as a whole, so a kill leaves it, or a temporary one that a
later writer removes. Other images get an entry of their own, for the older one may be in use, on
whatever machine; an entry is replaced only by one in which more of its images could be read. One
that nobody has opened for long goes when another is made, or earlier where its room is needed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnreg.errors import DataError, MachineError
from cnnreg.files import (
    CACHE_VARIABLE,
    TEMPORARY_PREFIX,
    check_room,
    disk_errors,
    home,
    last_touched,
    publish_folder,
    sweep_abandoned,
    temporary_folder,
    time_there,
    unique,
    write_json,
    write_text,
)

from .config import expanded

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

FOLDER_NAME = ".cnnreg-cache"
PIXELS, INDEX = "pixels.bin", "index.json"

UNUSED, SPARED = 30 * 86400.0, 86400.0  # seconds since it was last opened; where room is needed

LARGE = 1 << 30  # bytes: seconds to read again from a file, minutes to decode again
LARGE_SHARE = 0.25  # of the memory that is free: the network needs the rest, as do other splits

Store = Callable[[int, "Pixels"], None]
"""Takes images [N, H, W, C] and the row that the first of them belongs to; from any thread."""

Fill = Callable[[Store], dict[int, DataError]]
"""Stores every image; returns those that could not be read, by row."""


class Kept(NamedTuple):
    folder: Path
    pixels: Pixels  # the readable images alone
    skipped: dict[int, DataError]


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether pixels of this shape are better kept in a file."""
    import psutil

    return prod(shape) > min(LARGE, LARGE_SHARE * psutil.virtual_memory().available)


def cache_beside(data: Path, name: str) -> Cache | None:
    """Beside the data, else in one's home; or where CNNREG_CACHE says, which may say `off`.

    `data` is the folder that the data set `name` lies in, if there is one.
    """
    from hashlib import sha256

    said = os.environ.get(CACHE_VARIABLE, "")
    if said.lower() == "off":
        return None
    own = sha256(os.fsencode(f"{data}\0{name}")).hexdigest()[:16]
    if said:
        return Cache((expanded(said).absolute() / own,))
    beside = data / FOLDER_NAME / name.replace(":", ".")  # of plugin:name
    folders = [beside] if data.is_dir() else []
    with suppress(MachineError):  # no home: a place less
        folders.append(home() / "cache" / own)
    return Cache(tuple(folders)) if folders else None


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries of one data set, by split, size and images; `folders` are tried in turn."""

    folders: tuple[Path, ...]

    def open(self, name: str, key: str, shape: tuple[int, ...]) -> Kept | None:
        """The entry of that name, if it is there, whole, and made of the same images."""
        entries = (folder / _entry(name, key) for folder in self.folders)
        return next(filter(None, (_open(entry, key, shape) for entry in entries)), None)

    def make(self, name: str, key: str, shape: tuple[int, ...], fill: Fill) -> Kept:
        """Decode into a new entry.

        Raises MachineError if no folder can be written or has the room.
        """
        folder = self._with_room(prod(shape))
        entry = folder / _entry(name, key)
        with temporary_folder(entry) as temporary:
            skipped = _write(temporary / PIXELS, shape, fill)
            index = {
                "key": key,
                "shape": [shape[0] - len(skipped), *shape[1:]],
                "skipped": [[row, e.what, e.where] for row, e in sorted(skipped.items())],
            }
            write_json(temporary / INDEX, index)
            # Another process may have made the same meanwhile, and have it open.
            if not _holds(entry, key, shape, skipped):
                try:
                    publish_folder(temporary, entry)
                except MachineError:
                    if not _holds(entry, key, shape, skipped):
                        raise
        kept = _open(entry, key, shape)
        if kept is None:
            raise MachineError("The decoded images cannot be read back.", where=entry)
        return kept

    def keep(self, name: str, text: str) -> Path | None:
        """Write a text beside the entries; None where no folder can be written."""
        for folder in self.folders:
            with suppress(MachineError), disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                write_text(folder / name, text)
                return folder / name
        return None

    def _with_room(self, needed: int) -> Path:
        """The first folder one can write to that has room for `needed` bytes."""
        errors = []
        for folder in self.folders:
            try:
                with disk_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    _sweep(folder)
                _make_room(folder, needed)
                return folder
            except MachineError as error:
                errors.append(error)
        raise errors[0]


def _entry(name: str, key: str) -> str:
    return f"{name}-{key[:12]}"


def _open(entry: Path, key: str, shape: tuple[int, ...]) -> Kept | None:
    import numpy as np

    try:
        index = json.loads((entry / INDEX).read_text(encoding="utf-8"))
        skipped = {
            int(row): DataError(str(what), where=where) for row, what, where in index["skipped"]
        }
        if not all(0 <= row < shape[0] for row in skipped):
            return None
        held = (shape[0] - len(skipped), *shape[1:])
        path = entry / PIXELS
        if (
            index["key"] != key
            or tuple(index["shape"]) != held
            or path.stat().st_size != prod(held)
        ):
            return None
        with suppress(OSError):  # of who may only read it nobody knows
            os.utime(entry / INDEX)  # it is in use
        # Read-only: of writable memory systems promise, or refuse, as much as the file is long.
        return Kept(entry, np.memmap(path, np.uint8, mode="r", shape=held), skipped)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent, or not to be read: made again


def _holds(entry: Path, key: str, shape: tuple[int, ...], skipped: Mapping[int, DataError]) -> bool:
    kept = _open(entry, key, shape)
    return kept is not None and kept.skipped.keys() == skipped.keys()


def _write(path: Path, shape: tuple[int, ...], fill: Fill) -> dict[int, DataError]:
    # Written, not mapped: a disk that fills up is an error then, where a mapping would crash.
    row = prod(shape[1:])
    with disk_errors(path, needed=prod(shape)):
        path.touch()

        def store(first: int, images: Pixels) -> None:
            with path.open("rb+") as file:  # a handle of its own for each thread
                file.seek(first * row)
                file.write(images.data)

        skipped = fill(store)
        with path.open("rb+") as file:
            _close_gaps(file, shape[0], row, skipped)
    return skipped


def _close_gaps(file: Any, count: int, row: int, skipped: dict[int, DataError]) -> None:
    """Move the images behind an unreadable one up: rows stand as they would in memory."""
    written = min(skipped, default=count)
    for index in range(written, count):
        if index not in skipped:
            file.seek(index * row)
            image = file.read(row)
            file.seek(written * row)
            file.write(image)
            written += 1
    file.truncate(written * row)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left, and entries that nobody has opened for long."""
    sweep_abandoned(folder)
    for entry in _unopened(folder, UNUSED):
        _drop(entry)


def _make_room(folder: Path, needed: int) -> None:
    """The oldest entries go first. Raises MachineError if there is too little room without them."""
    for entry in _unopened(folder, SPARED):
        with suppress(MachineError):
            check_room(folder, needed)
            return
        _drop(entry)
    check_room(folder, needed)


def _unopened(folder: Path, seconds: float) -> list[Path]:
    """Entries that nobody has opened for so long, the oldest first."""
    now = time_there(folder)
    touched = {index.parent: last_touched(index.parent) for index in folder.glob(f"*/{INDEX}")}
    return sorted((e for e in touched if now - touched[e] > seconds), key=lambda e: touched[e])


def _drop(entry: Path) -> None:
    with suppress(OSError):  # Windows does not rename what is open
        shutil.rmtree(entry.rename(entry.with_name(f"{TEMPORARY_PREFIX}{unique()}")))
