"""What a disk refuses, said in one line."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnreg.errors import MachineError

from .places import WINDOWS

LONG = 200  # characters: a temporary name beside it may pass the 260 that Windows takes
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
HELD = (32, 33)  # Windows' numbers of what another program has open
FULL_ON_WINDOWS = (39, 112, 1295)  # its own numbers; errno knows only the second


def check_room(folder: Path, needed: int) -> None:
    """Raises MachineError if the disk has fewer than `needed` bytes free."""
    with disk_errors(folder):
        free = shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise MachineError(
            _disk_full(needed, free), where=folder, hint="Free some, or go elsewhere."
        )


@contextmanager
def disk_errors(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn an OSError into one line that says what to do; `needed` is in bytes."""
    try:
        yield
    except OSError as error:
        raise _explained(error, path, needed) from error


@contextmanager
def full_disk(path: Path, *, needed: int = 0) -> Iterator[None]:
    """As `disk_errors`, for code that may raise an OSError of its own: the others pass."""
    try:
        yield
    except OSError as error:
        if not _is_full(error) and error.errno != errno.EFBIG:
            raise
        raise _explained(error, path, needed) from error


def _explained(error: OSError, path: Path, needed: int) -> MachineError:
    what, hint = f"Cannot write: {error.strerror or error}.", ""
    if _is_full(error):
        what = _disk_full(needed, shutil.disk_usage(_existing(path)).free)
        hint = "Free some, then go on: what was saved before is whole."
    elif error.errno == errno.ENOENT and WINDOWS and len(str(path.absolute())) > LONG:
        what = "The path is too long for Windows (260 characters)."
        hint = "Choose a shorter --output, or turn on LongPathsEnabled."
    elif error.errno == errno.ENOENT and not path.parent.exists():
        what = "The folder is gone, or was never there."
    elif isinstance(error, PermissionError) and WINDOWS:
        hint = "Is it open in another program?"
        if getattr(error, "winerror", None) not in HELD:
            hint = "Is it open in another program, or may you not write there?"
    return MachineError(what, where=path, hint=hint)


def _is_full(error: OSError) -> bool:
    return error.errno in FULL or getattr(error, "winerror", None) in FULL_ON_WINDOWS


def _disk_full(needed: int, free: int) -> str:
    return f"Disk full: needs {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB free."


def _existing(path: Path) -> Path:
    """Itself where nothing of it does: a drive or a share that is gone."""
    return next((parent for parent in (path, *path.parents) if parent.exists()), path)
