"""Compiled models, kept for the next time where a device's compiler takes its time.

$CNNREG_HOME/compiled/<what reads the files>/<model and settings>/ holds what an engine wrote
there, and the digests of it. Whoever makes the folder fills it, and the digests are
written last: a folder without them is somebody's who is still at work, or was killed.
Nothing here can fail a command. All of it may be removed at any time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import TypeVar

from cnnreg.errors import MachineError
from cnnreg.files import check_room, file_digest, home, write_json

FOLDER = "compiled"
SEAL = "digests.json"
ROOM = 1 << 29  # bytes that must be free: a full disk ends some engines' compilers
HOUR = 3600.0
ABANDONED = HOUR  # a folder without digests, this many seconds old, is nobody's any more
UNUSED = 30 * 24 * HOUR
OUTDATED = 24 * HOUR  # of another driver or version, which may be another environment's

Model = TypeVar("Model")


def compiled_folder() -> Path:
    """Raises MachineError where there is no home."""
    return home() / FOLDER


def shelf(engine: str, reader: Sequence[str]) -> Path | None:
    """The folder of what one engine, version, device and driver compiled: `reader` names them.

    None where there is no home to have it in.
    """
    with suppress(MachineError):
        return compiled_folder() / f"{engine}-{_digest(reader)}"
    return None


def keeping(
    shelf: Path | None,
    key: Sequence[str],
    compile_in: Callable[[Path | None], Model],
    was_loaded: Callable[[Model], bool],
    note: Callable[[str], None],
) -> Model:
    """The model from the shelf's entry for `key`, or compiled and put there.

    `compile_in(folder)` compiles and lets the engine use that folder as its cache;
    with None it keeps nothing. What it raises then is the caller's. Without a shelf
    nothing is kept.
    """
    if shelf is None:
        return compile_in(None)
    entry = shelf / _digest(key)
    if (model := _loaded(entry, compile_in, was_loaded, note)) is not None:
        return model
    try:
        mine = _taken(entry)
    except (OSError, MachineError) as error:
        note(_not_kept(shelf, error))
        mine = False
    if not mine:
        return compile_in(None)
    try:
        model = compile_in(entry)
        _seal(entry)
    except Exception as error:  # noqa: BLE001 - whose fault it was, compiling without a cache tells
        _drop(entry)
        model = compile_in(None) if model is None else model
        note(_not_kept(shelf, error))
        return model
    except BaseException:
        _drop(entry)
        raise
    _prune(shelf)
    return model


def _not_kept(shelf: Path, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
    return f"the compiled model is not kept in {shelf}: {why}"


def _loaded(
    entry: Path,
    compile_in: Callable[[Path | None], Model],
    was_loaded: Callable[[Model], bool],
    note: Callable[[str], None],
) -> Model | None:
    """The model of a whole entry. One that is damaged, or that the engine rejects, is dropped."""
    try:
        whole = _is_whole(entry)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, TypeError, AttributeError):
        whole = False
    model = None
    if whole:
        with suppress(OSError):
            os.utime(entry / SEAL)
        with suppress(Exception):
            model = compile_in(entry)
    if model is None or not was_loaded(model):
        note(f"a compiled model that could not be used was dropped: {entry}")
        _drop(entry)
    return model


def _taken(entry: Path) -> bool:
    """Make the entry's folder; False if another process has it. Raises OSError, MachineError."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    check_room(entry.parent, ROOM)
    if _age(entry) > ABANDONED and not (entry / SEAL).exists():
        _drop(entry)
    try:
        entry.mkdir()
    except FileExistsError:
        return False
    return True


def _seal(entry: Path) -> None:
    files = {path.name: file_digest(path) for path in _files(entry)}
    write_json(entry / SEAL, files)


def _is_whole(entry: Path) -> bool:
    """Whether all files are as they were written. Raises FileNotFoundError without digests.

    What an engine added later is removed: nobody vouches for it.
    """
    sealed = dict(json.loads((entry / SEAL).read_text(encoding="utf-8")))
    present = {path.name: path for path in _files(entry)}
    for name in present.keys() - sealed.keys():
        _unlock(present[name])
        present.pop(name).unlink(missing_ok=True)
    return bool(sealed) and all(
        name in present and file_digest(present[name]) == digest for name, digest in sealed.items()
    )


def _files(entry: Path) -> Iterator[Path]:
    return (path for path in sorted(entry.iterdir()) if path.is_file() and path.name != SEAL)


def _prune(current: Path) -> None:
    """Drop what has not been used for long; for a day, if another version or driver wrote it."""
    with suppress(OSError):
        for shelf in compiled_folder().iterdir():
            limit = UNUSED if shelf == current else OUTDATED
            for entry in shelf.iterdir():
                if _age(entry) > limit:
                    _drop(entry)
            with suppress(OSError):  # not empty
                shelf.rmdir()


def _age(entry: Path) -> float:
    """Seconds since it was made or used last; 0 if it is not there."""
    for path in (entry / SEAL, entry):
        with suppress(OSError):
            return time() - path.stat().st_mtime
    return 0.0


def _drop(entry: Path) -> None:
    with suppress(OSError):  # first: what is left, if an engine holds its files, is not whole
        (entry / SEAL).unlink()
    with suppress(OSError):
        for path in _files(entry):
            _unlock(path)
    shutil.rmtree(entry, ignore_errors=True)


def _unlock(path: Path) -> None:
    """OpenVINO makes its files read-only, and Windows removes no such file."""
    with suppress(OSError):
        path.chmod(0o600)


def _digest(parts: Sequence[str]) -> str:
    return sha256(os.fsencode("\0".join(parts))).hexdigest()[:20]
