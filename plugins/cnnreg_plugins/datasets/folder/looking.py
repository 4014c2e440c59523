"""What lies in a class folder: its images, at any depth, and what is passed over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cnnreg import DataError
from cnnreg.images import is_image, unreadable_folder
from cnnreg.texts import composed

# What archives and network drives leave among the images, and systems on each drive.
JUNK = (
    *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "lost+found", "found.000"),
    *("$recycle.bin", "system volume information"),
)


@dataclass(frozen=True, slots=True)
class ClassFolder:
    images: tuple[Path, ...]
    flat: bool  # some lie right in it
    inner: frozenset[str]  # the folders right in it
    others: tuple[str, ...]  # names of the files that are no images, in any depth
    links: int  # to folders: not followed


def look(folder: Path) -> ClassFolder:
    """In an order that no file system decides. Links to folders are not followed."""
    images: list[Path] = []
    others: list[str] = []
    links, flat, inner = 0, False, frozenset[str]()
    for parent, folders, names in os.walk(folder, onerror=unreadable_folder):
        kept = (name for name in folders if not ignored(Path(parent, name)))
        folders[:] = sorted(kept, key=_order)
        found = [Path(parent, name) for name in sorted(names, key=_order) if is_image(name)]
        for path in found:
            # A broken link stays in: like any unreadable image it is counted and named.
            if path.exists() and not path.is_file():
                raise DataError("This is not a regular file.", where=path)
        if Path(parent) == folder:
            flat, inner = bool(found), frozenset(folders)
        images += found
        others += (name for name in names if not is_image(name))
        links += sum(Path(parent, name).is_symlink() for name in folders)
    return ClassFolder(tuple(images), flat, inner, tuple(others), links)


def _order(name: str) -> tuple[str, str]:
    """However accents are stored; of two that differ in that alone, always the same first."""
    return composed(name), name


def ignored(folder: Path) -> bool:
    """Hidden, junk, or what a command wrote: charts of a training are no images to learn from."""
    from cnnreg.belongings import is_ours

    return folder.name.startswith(".") or folder.name.lower() in JUNK or is_ours(folder)
