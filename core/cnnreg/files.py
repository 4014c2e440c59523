"""Writing files so that a kill, a full disk or a power cut leaves the old one or the new one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import MachineError

LOCK = ".cnnreg-lock"
TEMPORARY_PREFIX = ".cnnreg-tmp-"
REPLACED_PREFIX = f"{TEMPORARY_PREFIX}old-"  # followed by the name it had


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` as a whole: temporary file beside it, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{unique()}-{path.name[-40:]}")
    with disk_errors(path, needed=len(content)):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def publish_folder(temporary: Path, target: Path) -> None:
    """Make the finished folder `temporary` appear as `target`, replacing an older one."""
    with disk_errors(target):
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        sync_folder(temporary)
        older = target.with_name(f"{REPLACED_PREFIX}{target.name}")
        shutil.rmtree(older, ignore_errors=True)
        if target.exists():
            target.rename(older)
        try:
            temporary.rename(target)
        except OSError:
            if older.exists():
                older.rename(target)
            raise
        sync_folder(target.parent)
        shutil.rmtree(older, ignore_errors=True)


def unique() -> str:
    return os.urandom(6).hex()


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A fresh folder on the same disk as `beside`, swept on leaving unless renamed away."""
    folder = beside.with_name(f"{TEMPORARY_PREFIX}{unique()}")
    with disk_errors(beside):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_temporaries(folder: Path) -> None:
    """Remove what a killed writer left behind, and bring back what it was about to replace."""
    for older in folder.glob(f"{REPLACED_PREFIX}*"):
        target = folder / older.name.removeprefix(REPLACED_PREFIX)
        if not target.exists():
            older.rename(target)
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows cannot open folders and needs no such step."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    from hashlib import sha256

    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises MachineError if another one holds it."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise MachineError("In use by another process.", where=folder) from error
    except OSError as error:
        raise MachineError(f"Cannot write: {error.strerror or error}.", where=folder) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def disk_errors(path: Path, *, needed: int = 0) -> Iterator[None]:
    """Turn an OSError into one line that says what to do; `needed` is in bytes."""
    try:
        yield
    except OSError as error:
        raise MachineError(*_explain(error, path, needed), where=path) from error


def _explain(error: OSError, path: Path, needed: int) -> tuple[str]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC):
        free = shutil.disk_usage(_existing(path)).free
        return (f"Disk full: needs {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB free.",)
    return (f"Cannot write: {error.strerror or error}.",)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
