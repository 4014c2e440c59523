"""A folder that appears as a whole, and what a killed writer left of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path

from .disk import disk_errors
from .exchange import exchange
from .writing import TEMPORARY_PREFIX, patiently, sync_folder, unique

ABANDONED = 3600.0  # seconds in which nothing was written: the writer is gone
REPLACED_PREFIX = f"{TEMPORARY_PREFIX}old-"  # followed by the name it had


def publish_folder(temporary: Path, target: Path) -> None:
    """Make the finished folder `temporary` appear as `target`, replacing an older one.

    At every moment `target` is the older one or the new one; only where the system cannot
    exchange two folders there is none for a moment, which `sweep_temporaries` mends.
    """
    with disk_errors(target):
        for file in temporary.rglob("*"):
            if file.is_file():
                patiently(_sync, file)
        sync_folder(temporary)
        if not target.exists():
            patiently(temporary.rename, target)
        elif not exchange(temporary, target):
            _replace_folder(temporary, target)
        sync_folder(target.parent)
        shutil.rmtree(temporary, ignore_errors=True)  # after an exchange, the older one


def _sync(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _replace_folder(temporary: Path, target: Path) -> None:
    """By two renames."""
    older = target.with_name(f"{REPLACED_PREFIX}{target.name}")
    shutil.rmtree(older, ignore_errors=True)
    patiently(target.rename, older)
    try:
        patiently(temporary.rename, target)
    except BaseException:
        patiently(older.rename, target)
        raise
    shutil.rmtree(older, ignore_errors=True)


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A fresh folder on the same disk as `beside`, swept on leaving unless renamed away."""
    folder = beside.with_name(f"{TEMPORARY_PREFIX}{unique()}")
    try:  # around making it, too: a signal may come just then
        with disk_errors(beside):
            folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove what a killed writer left behind, and bring back what it was about to replace."""
    for older in folder.glob(f"{REPLACED_PREFIX}*"):
        target = folder / older.name.removeprefix(REPLACED_PREFIX)
        if not target.exists():
            patiently(older.rename, target)
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        _remove(leftover)


def sweep_abandoned(folder: Path) -> None:
    """Remove what killed writers left in a folder that others, on any machine, may write to.

    Raises MachineError if it cannot be written to.
    """
    now = time_there(folder)
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if now - last_touched(leftover) > ABANDONED:
            _remove(leftover)


def time_there(folder: Path) -> float:
    """Now, in seconds, by the clock of the disk that files get their times of.

    Raises MachineError if it cannot be written to.
    """
    with temporary_folder(folder / "clock") as made:
        return made.stat().st_mtime


def last_touched(folder: Path) -> float:
    """When something in it was last written; never, if it is being renamed just now."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return inf


def _remove(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        with suppress(OSError):
            leftover.unlink()
