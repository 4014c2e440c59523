"""What the commands write: it may lie among other things, and is none of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .comparing.folder import is_comparison
from .errors import DataError
from .images import EXTENSIONS, is_image, unreadable_folder
from .manifest import source_of
from .runs import is_run
from .serving.layout import is_layout

GATHERED = ("runs", "comparisons", "exports")  # what their places are called by default


def is_ours(folder: Path) -> bool:
    """Whether it is a run, an export, a comparison or a server's layout, or gathers such."""
    with suppress(OSError):  # not to be looked into: for the caller to find
        if _is_one(folder):
            return True
        if folder.name.lower() in GATHERED:
            return any(_is_one(inner) for inner in folder.iterdir() if inner.is_dir())
    return False


def pictures_below(folder: Path) -> list[Path]:
    """At any depth, in one order everywhere; neither hidden ones nor charts that a command drew.

    Raises DataError if there are none.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable_folder):
        shown = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in shown if not is_ours(Path(parent, name))]
        found += [Path(parent, name) for name in sorted(names) if is_image(name)]
    if not found:
        endings = ", ".join(EXTENSIONS)
        raise DataError(
            "There are no pictures in this folder.", where=folder, hint=f"They end in {endings}."
        )
    return found


def _is_one(folder: Path) -> bool:
    return is_run(folder) or is_comparison(folder) or is_layout(folder) or bool(source_of(folder))
