"""A comparison's folder, on one machine: it may be renamed and moved with all that is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cnnreg.errors import ModelFileError, UsageError
from cnnreg.files import TEMPORARY_PREFIX, disk_errors, read_json, write_json
from cnnreg.runs.failure import FILE_NAME as FAILURE
from cnnreg.runs.result import FILE_NAME as RESULT

from .plan import Trial
from .results import Result

DATABASE = "study.db"


def is_comparison(folder: Path) -> bool:
    return _identity(folder).is_file()


def study_name(folder: Path) -> str:
    """Of the study that the folder belongs to; a new folder lends it its own name.

    Raises UsageError for a folder of other things, among which nothing must be written.
    """
    if (path := _identity(folder)).is_file():
        held = read_json(path)
        name = held.get("study") if isinstance(held, dict) else None
        if not isinstance(name, str) or not name:
            raise ModelFileError("Damaged: it names no study.", where=path)
        return name
    if not (folder / DATABASE).is_file():
        _refuse_strangers(folder)
    return folder.resolve().name


def is_elsewhere(folder: Path) -> bool:
    """Whether the study was begun in a database of another place, which must be named again."""
    if (folder / DATABASE).is_file() or not (path := _identity(folder)).is_file():
        return False
    held = read_json(path)
    return isinstance(held, dict) and held.get("elsewhere") is True


def keep_study_name(folder: Path, name: str, *, elsewhere: bool) -> None:
    """Not where the database is: that may hold a password."""
    path = _identity(folder)
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        write_json(path, {"study": name, "elsewhere": elsewhere})


def run_folder(folder: Path, trial: Trial) -> Path:
    return folder / "runs" / trial.name


def with_relative_runs(results: Iterable[Result], folder: Path) -> list[Result]:
    """The runs that ended in `folder` are named from there, wherever it lay at that time."""
    return [
        replace(result, run=run_folder(Path(), result.trial).as_posix())
        if (run_folder(folder, result.trial) / _ending(result)).is_file()
        else result
        for result in results
    ]


def _identity(folder: Path) -> Path:
    return folder / "comparison.json"


def _ending(result: Result) -> str:
    return FAILURE if result.diverged else RESULT


def _refuse_strangers(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError("This is a file.", where=folder, hint="Choose another --output.")
    # Of a worker that starts at this moment, or was killed then: its lock comes before all else.
    beginnings = (TEMPORARY_PREFIX, DATABASE)
    if any(not entry.name.startswith(beginnings) for entry in folder.iterdir()):
        raise UsageError(
            "This folder is not empty, and holds no comparison.",
            where=folder,
            hint="Choose another --output.",
        )
