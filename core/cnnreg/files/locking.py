"""One writer for each folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cnnreg.errors import InUseError

from .disk import disk_errors

LOCK = ".cnnreg-lock"
OURS = ("python", "pythonw", "cnnreg")  # how the names of processes begin that may hold one


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
            raise taken(folder) from error
    try:
        yield
    finally:
        lock.release()


def taken(folder: Path) -> InUseError:
    """The error that says who holds the folder."""
    hint = "Wait until it has ended, or stop it."
    return InUseError(f"In use by {_holder(folder / LOCK)}.", where=folder, hint=hint)


def _holder(lock: Path) -> str:
    """The process that has the file open, where the system tells; it may be of another machine."""
    import psutil

    lock = lock.resolve()
    for process in psutil.process_iter():
        # A system's own processes take long to ask, on Windows, and hold none.
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or not process.name().lower().startswith(OURS):
                continue
            if any(Path(file.path) == lock for file in process.open_files()):
                since = datetime.fromtimestamp(process.create_time()).astimezone()
                return f"process {process.pid}, which began at {since:%Y-%m-%d %H:%M}"
    return "another process"


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
