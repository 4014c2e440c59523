"""Making runs, and finding them again."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from cnnreg.errors import MachineError, ModelFileError, UsageError
from cnnreg.files import disk_errors, in_use, taken, typed
from cnnreg.manifest import has_manifest

from .config import FILE_NAME, RunConfig, config_from_data, read_config, write_config
from .run import Run

DEFAULT_ROOT = Path("runs")


def create_run(config: RunConfig, *, folder: Path | None = None) -> Run:
    """Make the run's folder and write run.json. Raises UsageError if it is taken."""
    folder = folder or _free_folder(config)
    if len(os.fsencode(folder.name)) > 200:
        raise UsageError("The run's name is too long (200 bytes).", where=folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError("The output is a file, not a folder.", where=folder)
    if folder.exists() and in_use(folder):
        raise taken(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(
            "The output folder is not empty.",
            where=folder,
            hint="Choose another --output, or `cnnreg resume` it if it is a run.",
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, config)
    return Run(folder, config)


def open_run(folder: Path) -> Run:
    """Raises UsageError if `folder` is no run, ModelFileError if its run.json is damaged."""
    if is_run(folder):
        return Run(folder, read_config(folder))
    whole = run_around(folder)
    raise UsageError(
        "Not a run: it holds no run.json." if folder.exists() else "There is no such run.",
        where=folder,
        hint=f"Name the run: {typed(whole)}" if whole else "`cnnreg runs` lists them.",
    )


def is_run(folder: Path) -> bool:
    return (folder / FILE_NAME).is_file()


def run_around(path: Path) -> Path | None:
    """The folder of the run that a file or folder belongs to, or is."""
    return next((place for place in (path, *path.resolve().parents) if is_run(place)), None)


def placed(named: Path, root: Path = DEFAULT_ROOT) -> Path:
    """Where a model lies that a user named: by its path, or a run as `cnnreg runs` lists it.

    A folder by that name that is no model hides no run.
    """
    is_model = named.is_file() or is_run(named) or has_manifest(named)
    return root / named if root / named in run_folders(root) and not is_model else named


def run_from_data(folder: Path, data: Any) -> Run:
    """The run that run.json's `data` describes. Raises ModelFileError as `open_run` does."""
    return Run(folder, config_from_data(folder, data))


def find_run(named: Path | None = None, root: Path = DEFAULT_ROOT) -> Run:
    """The run of that path or name, or the newest under `root`. Raises UsageError if none is."""
    if named is not None:
        return open_run(placed(named, root))
    if runs := list_runs(root):
        return runs[-1]
    for folder in run_folders(root):
        open_run(folder)  # says what is wrong with it
    raise no_run(root)


def no_run(root: Path) -> UsageError:
    return UsageError(
        "There is no run yet.",
        where=root.absolute(),  # most often it is the wrong folder
        hint="Go to the folder you trained in, or name a run; `cnnreg train resnet18` makes one.",
    )


def list_runs(root: Path = DEFAULT_ROOT) -> list[Run]:
    """All readable runs under `root`, oldest first."""
    runs = []
    for folder in run_folders(root):
        # One damaged run must not hide the others.
        with suppress(UsageError, ModelFileError, MachineError):
            runs.append(open_run(folder))
    return sorted(runs, key=lambda run: (datetime.fromisoformat(run.config.created), run.name))


def run_folders(root: Path) -> list[Path]:
    """Of the runs right under `root`, damaged ones too."""
    return [path.parent for path in root.glob(f"*/{FILE_NAME}")]


def _free_folder(config: RunConfig) -> Path:
    """Made at once, so that two runs started in the same second cannot take one folder."""
    moment = datetime.fromisoformat(config.created).strftime("%Y%m%d-%H%M%S")
    data = config.data.label or "imported"
    base = f"{moment}-{config.contract.architecture}-{data}"
    with disk_errors(DEFAULT_ROOT):
        DEFAULT_ROOT.mkdir(exist_ok=True)
        for number in count(1):
            folder = DEFAULT_ROOT / (base if number == 1 else f"{base}-{number}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise AssertionError("there is always a next number")
