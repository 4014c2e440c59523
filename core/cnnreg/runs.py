"""A run's folder: what was asked, what happened, and what came of it.

runs/20261123-154210-resnet18-digits/
    run.json            network, recipe, data, environment: written once
    metrics.jsonl       one line an epoch
    curves.png          loss and accuracy over the epochs
    best.safetensors    the weights of the best validation accuracy
    last.safetensors    everything that going on needs
    result.json         the outcome, written when training ends
    exports/            one folder for each published format and precision
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from .contracts import contract_from_data
from .data import DataConfig, Dataset, open_dataset
from .data.decode import Progress
from .errors import DataError, MachineError, ModelFileError, UsageError
from .files import disk_errors, write_json, write_text
from .registry import Registry
from .specs import EpochRecord, ModelContract, Recipe, to_data

SCHEMA = 1
DEFAULT_ROOT = Path("runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What was asked: enough to train the same model again."""

    contract: ModelContract
    recipe: Recipe
    data: DataConfig
    data_fingerprint: str
    environment: dict[str, Any]
    created: str


@dataclass(frozen=True, slots=True)
class Run:
    folder: Path
    config: RunConfig

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.folder / "last.safetensors"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def result(self) -> dict[str, Any] | None:
        """The outcome, or None while training is not finished."""
        path = self.folder / "result.json"
        return _read_json(path) if path.exists() else None

    def open_data(
        self,
        registry: Registry,
        *,
        folder: Path | None = None,
        downloads: Path | None = None,
        progress: Progress | None = None,
    ) -> Dataset:
        """The run's data, in the same splits and at the same size; `folder` if it has moved.

        Raises DataError if it is not the same: other images would be split anew, and
        what was trained on would turn up among the test images.
        """
        config = self.config.data
        moved = replace(
            config, folder=folder or config.folder, downloads=downloads or config.downloads
        )
        shape = self.config.contract.input_shape
        dataset = open_dataset(registry, moved, image_shape=shape, progress=progress)
        if dataset.fingerprint != self.config.data_fingerprint:
            raise DataError(
                "The data has changed since this run was trained on it.",
                where=moved.folder or f"{moved.name} in {moved.downloads}",
                hint="Restore it, name where it lies now with --data or --data-dir, or train anew.",
            )
        return dataset

    def write_result(self, result: dict[str, Any]) -> None:
        write_json(self.folder / "result.json", result)

    def write_metrics(self, history: Iterable[EpochRecord]) -> None:
        # Written whole from what the checkpoint holds, so the two can never disagree.
        lines = (json.dumps(to_data(record)) for record in history)
        write_text(self.folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def create_run(config: RunConfig, *, folder: Path | None = None) -> Run:
    """Make the run's folder and write run.json. Raises UsageError if it is taken."""
    folder = folder or _free_folder(config)
    if len(folder.name.encode()) > 200:
        raise UsageError("The run's name is too long (200 bytes).", where=folder)
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise UsageError(
            "The output folder is not empty.",
            where=folder,
            hint="Choose another --output, or `cnnreg resume` it if it is a run.",
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"schema": SCHEMA, **to_data(config)})
    return Run(folder, config)


def open_run(folder: Path) -> Run:
    """Raises ModelFileError if `folder` does not hold a readable run.json."""
    data = _read_json(folder / "run.json")
    try:
        if data["schema"] != SCHEMA:
            raise ValueError(f"format {data['schema']}, this version reads {SCHEMA}")
        config = RunConfig(
            contract=contract_from_data(data["contract"]),
            recipe=recipe_from_data(data["recipe"]),
            data=DataConfig.from_data(data["data"]),
            data_fingerprint=str(data["data_fingerprint"]),
            environment=dict(data["environment"]),
            created=str(data["created"]),
        )
        datetime.fromisoformat(config.created)
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        raise ModelFileError(f"Damaged run: {error}.", where=folder / "run.json") from error
    return Run(folder, config)


def find_run(folder: Path | None = None) -> Run:
    """The run in `folder`, or the newest under runs/. Raises UsageError if there is none."""
    if folder is not None:
        if not (folder / "run.json").is_file():
            raise UsageError("Not a run: it holds no run.json.", where=folder)
        return open_run(folder)
    runs = list_runs()
    if not runs:
        raise UsageError(
            "There is no run yet.", where=DEFAULT_ROOT, hint="Make one with: cnnreg train resnet18"
        )
    return runs[-1]


def list_runs(root: Path = DEFAULT_ROOT) -> list[Run]:
    """All readable runs under `root`, oldest first."""
    runs = []
    for path in root.glob("*/run.json"):
        with suppress(ModelFileError, MachineError):  # one damaged run must not hide the others
            runs.append(open_run(path.parent))
    return sorted(runs, key=lambda run: (datetime.fromisoformat(run.config.created), run.name))


def recipe_from_data(data: Any) -> Recipe:
    """Raises TypeError or ValueError for a field that is unknown or of another type."""
    types = {f.name: type(getattr(Recipe(), f.name)) for f in fields(Recipe)}
    for name, value in data.items():
        if name not in types:
            raise ValueError(f"unknown recipe field {name!r}")
        if type(value) is not types[name] and not (types[name] is float and type(value) is int):
            raise TypeError(f"recipe field {name} must be {types[name].__name__}, not {value!r}")
    return Recipe(**data)


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="microseconds")


def _free_folder(config: RunConfig) -> Path:
    """Made at once, so that two runs started in the same second cannot take one folder."""
    moment = datetime.fromisoformat(config.created).strftime("%Y%m%d-%H%M%S")
    base = f"{moment}-{config.contract.architecture}-{config.contract.dataset}"
    with disk_errors(DEFAULT_ROOT):
        for number in count(1):
            folder = DEFAULT_ROOT / (base if number == 1 else f"{base}-{number}")
            with suppress(FileExistsError):
                folder.mkdir(parents=True)
                return folder
    raise AssertionError("there is always a next number")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MachineError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"Not valid JSON: {error}.", where=path) from error
