"""Writing files so that a kill, a full disk or a power cut leaves the old one or the new one."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, ParamSpec

from .errors import InUseError, MachineError, ModelFileError
from .exchange import exchange

LOCK = ".cnnreg-lock"
HOME_VARIABLE = "CNNREG_HOME"
CACHE_VARIABLE = "CNNREG_CACHE"
TEMPORARY_PREFIX = ".cnnreg-tmp-"
WINDOWS = os.name == "nt"
PATIENCE = 60.0  # seconds: longer than scanners, backups and slow readers have a file open
LONG = 200  # characters: a temporary name beside it may pass the 260 that Windows takes
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
FULL_ON_WINDOWS = (39, 112, 1295)  # its own numbers; errno knows only the second
REPLACED_PREFIX = f"{TEMPORARY_PREFIX}old-"  # followed by the name it had

P = ParamSpec("P")


def home() -> Path:
    """Where this user's settings and measurements lie: $CNNREG_HOME, or ~/.cnnreg.

    Raises MachineError where there is no home: nothing was kept then, and nothing can be.
    """
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    try:
        return Path.home() / ".cnnreg"
    except RuntimeError as error:  # a container's user without a name, say
        raise MachineError(
            "There is no home folder to keep settings and measurements in.",
            hint=f"Name a folder for them: {HOME_VARIABLE}=...",
        ) from error


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
    """Rename or remove, which Windows refuses while any program has the file open."""
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


def typed(path: Path) -> str:
    """As one types it after a command: quoted if it has to be."""
    if not WINDOWS:
        return shlex.quote(str(path))
    # Double quotes: all that cmd and PowerShell both take.
    return str(path) if re.fullmatch(r"[\w:\\./+-]+", str(path)) else f'"{path}"'


def read_json(path: Path) -> Any:
    """Raises MachineError if the file cannot be read, ModelFileError if it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"Not valid JSON: {error}.", where=path) from error


def publish_folder(temporary: Path, target: Path) -> None:
    """Make the finished folder `temporary` appear as `target`, replacing an older one.

    At every moment `target` is the older one or the new one; only where the system cannot
    exchange two folders there is none for a moment, which `sweep_temporaries` mends.
    """
    with disk_errors(target):
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        sync_folder(temporary)
        if not target.exists():
            patiently(temporary.rename, target)
        elif not exchange(temporary, target):
            _replace_folder(temporary, target)
        sync_folder(target.parent)
        shutil.rmtree(temporary, ignore_errors=True)  # after an exchange, the older one


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


def unique() -> str:
    return os.urandom(6).hex()


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
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            with suppress(OSError):
                leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows cannot open folders and needs no such step."""
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
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


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises InUseError if another one holds it."""
    from filelock import FileLock, Timeout

    # A moment's patience: `in_use` holds it for as long as a look takes.
    lock = FileLock(folder / LOCK, timeout=0.2)
    try:
        lock.acquire()
    except Timeout as error:
        raise InUseError("In use by another process.", where=folder) from error
    except OSError as error:
        raise MachineError(f"Cannot write: {error.strerror or error}.", where=folder) from error
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
    elif error.errno == errno.ENOENT and WINDOWS and len(str(path.absolute())) > LONG:
        what = "The path is too long for Windows (260 characters)."
        hint = "Choose a shorter --output, or turn on LongPathsEnabled."
    elif error.errno == errno.ENOENT and not path.parent.exists():
        what = "The folder is gone, or was never there."
    elif isinstance(error, PermissionError) and WINDOWS:
        hint = "Is it open in another program?"
    return MachineError(what, where=path, hint=hint)


def _is_full(error: OSError) -> bool:
    return error.errno in FULL or getattr(error, "winerror", None) in FULL_ON_WINDOWS


def _disk_full(needed: int, free: int) -> str:
    return f"Disk full: needs {needed / 1e6:.1f} MB, {free / 1e6:.1f} MB free."


def _existing(path: Path) -> Path:
    """Itself where nothing of it does: a drive or a share that is gone."""
    return next((parent for parent in (path, *path.parents) if parent.exists()), path)
