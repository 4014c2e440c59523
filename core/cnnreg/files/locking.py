"""One writer for each folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnreg.errors import InUseError

from .disk import disk_errors

LOCK = ".cnnreg-lock"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises InUseError if another one holds it."""
    from filelock import FileLock, Timeout

    # A moment's patience: `in_use` holds it for as long as a look takes.
    lock = FileLock(folder / LOCK, timeout=0.2)
    with disk_errors(folder):
        try:
            lock.acquire()
        except Timeout as error:  # an OSError too
            raise InUseError("In use by another process.", where=folder) from error
    try:
        yield
    finally:
        lock.release()


def in_use(folder: Path) -> bool:
    """Whether a process holds `folder` by `sole_writer`. Writes nothing."""
    path = folder / LOCK
    if not path.exists():
        return False
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError:  # without the extra nothing here can hold it
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:  # a place that cannot be written is held by nobody
        return False
    lock.release()
    return False
