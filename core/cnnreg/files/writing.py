"""Writing a file so that a kill, a full disk or a power cut leaves the old one or the new one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ParamSpec

from cnnreg.errors import MachineError, ModelFileError

from .disk import disk_errors
from .places import WINDOWS

TEMPORARY_PREFIX = ".cnnreg-tmp-"
PATIENCE = 60.0  # seconds: longer than scanners, backups and slow readers have a file open

P = ParamSpec("P")


def write_bytes(path: Path, content: bytes, *, previous: Path | None = None) -> None:
    """Replace `path` as a whole: temporary file beside it, fsync, rename, fsync of the folder.

    What it replaces stays as `previous`, if that is given.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{unique()}-{path.name[-40:]}")
    with disk_errors(path, needed=len(content)):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                _keep(path, previous)
            patiently(temporary.replace, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _keep(path: Path, previous: Path) -> None:
    """Give `path` a second name, so that at no moment there is neither file."""
    link = previous.with_name(f"{TEMPORARY_PREFIX}{unique()}-link")
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        patiently(path.replace, previous)
        return
    patiently(link.replace, previous)
    patiently(link.unlink, missing_ok=True)  # it stays where both are one file already


def patiently(act: Callable[P, object], *given: P.args, **options: P.kwargs) -> None:
    """Open, rename or remove, which Windows may refuse while another program has the file open."""
    end = monotonic() + PATIENCE
    while True:
        try:
            act(*given, **options)
            return
        except PermissionError:
            if not WINDOWS or monotonic() > end:
                raise
            sleep(0.05)


def write_text(path: Path, text: str) -> None:
    # Bytes of a file's name that are no text become \udcXX: JSON reads them back as they were.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, data: Any) -> None:
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises MachineError if the file cannot be read, ModelFileError if it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"Not valid JSON: {error}.", where=path) from error


def check_schema(data: Any, known: int, path: Path) -> None:
    """Raises ModelFileError for a file of a later version; KeyError or TypeError without one."""
    if (schema := data["schema"]) != known:
        raise ModelFileError(
            f"The file has format {schema!r:.40}, this version reads {known}.",
            where=path,
            hint="Update cnn-registry.",
        )


def unique() -> str:
    return os.urandom(6).hex()


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows cannot open folders and needs no such step.

    Nor do some file systems of networks and virtual machines know it.
    """
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def file_digest(*paths: Path) -> str:
    """The sha256 of a file, or of several one after the other."""
    from hashlib import sha256

    digest = sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
