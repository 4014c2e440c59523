"""A run's folder: what was asked, what happened, and what came of it.

runs/20261123-154210-resnet18-digits/
    run.json            network, recipe, data, environment
    metrics.jsonl       one line an epoch
    curves.png          loss and accuracy over the epochs; each picture is there as .svg too
    best.safetensors    the weights of the best validation accuracy
    last.safetensors    everything that going on needs
    failure.json        what ended it before its time, if something did
    last.previous...    the one before, should the last be damaged; until training ends
    images.jsonl        which images were in which split, where they are files
    result.json         the outcome, written when training ends
    report.json         the test split class by class, and the most confident mistakes
    confusion.png, classes.png, mistakes.png    the same as pictures
    summary.txt, .json  the network's stages and cost
    exports/            one folder for each published format and precision

An imported run has run.json, best.safetensors and the summary alone; run.json says from
which file, and without data its data's name is empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from math import nan
from pathlib import Path
from typing import Any

from .contracts import contract_from_data
from .data import DataConfig, Dataset, data_config, open_dataset
from .data.decode import Progress
from .data.listing import Listed, compare_listings, places
from .errors import (
    CnnregError,
    DataError,
    DivergedError,
    MachineError,
    ModelFileError,
    PluginError,
    StoppedError,
    UsageError,
)
from .files import disk_errors, read_json, write_json, write_text
from .plugins import one_line
from .recipe import Recipe, recipe_from_data
from .registry import Registry
from .specs import EpochRecord, ModelContract, to_data

SCHEMA = 1
DEFAULT_ROOT = Path("runs")
PRETRAINED = "pretrained"
RESULT = {"test_accuracy": float, "best_epoch": int, "epochs": int}  # what is read of it
OF_THE_END = (
    "result.json",
    "report.json",
    *(f"{name}.{kind}" for name in ("confusion", "classes", "mistakes") for kind in ("png", "svg")),
)
"""Files that hold for the weights with which a training ended."""

Change = dict[str, Any]
"""Where training stood (epoch, step), when (at), and in words what was different (what)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What was asked: enough to train the same model again."""

    contract: ModelContract
    recipe: Recipe
    data: DataConfig
    data_fingerprint: str
    environment: dict[str, Any]
    created: str
    weights: str = ""  # to start from: "pretrained" or a file; empty: random ones
    loggers: tuple[str, ...] = ()  # plugins to tell each epoch
    changes: tuple[Change, ...] = ()  # since it began, oldest first
    imported: dict[str, Any] = field(default_factory=dict)  # from which file, if not trained here


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
    def previous(self) -> Path:
        return self.folder / "last.previous.safetensors"

    @property
    def damaged(self) -> Path:
        """Where a last checkpoint that cannot be read is put aside."""
        return self.folder / "last.damaged.safetensors"

    @property
    def images(self) -> Path:
        return self.folder / "images.jsonl"

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.png"

    @property
    def report(self) -> Path:
        return self.folder / "report.json"

    @property
    def result(self) -> dict[str, Any] | None:
        """The outcome, or None while training is not finished. Raises ModelFileError."""
        path = self.folder / "result.json"
        if not path.exists():
            return None
        result = read_json(path)
        if not isinstance(result, dict) or not all(
            isinstance(result.get(name), kind) for name, kind in RESULT.items()
        ):
            raise ModelFileError(
                f"Damaged result: it needs {', '.join(RESULT)}.",
                where=path,
                hint="Delete it: `cnnreg resume` measures the test images again.",
            )
        return result

    def open_data(
        self,
        registry: Registry,
        *,
        folder: Path | None = None,
        downloads: Path | None = None,
        progress: Progress | None = None,
        changed: bool = False,
    ) -> Dataset:
        """The run's data, in the same splits and at the same size; `folder` if it has moved.

        Raises DataError if it is not the same. `changed` allows that, but never other
        classes; images that were there before stay in their split, so that none that was
        trained on turns up in the test. A run without data of its own, an imported one, takes
        what `folder` names.
        """
        config = self.config.data
        if not config.name:
            return self._open_named(registry, folder, downloads or config.downloads, progress)
        if config.name not in registry.datasets:
            raise PluginError(
                f"The run's data set '{config.name}' is not installed.", where=self.folder
            )
        moved = replace(
            config, folder=folder or config.folder, downloads=downloads or config.downloads
        )
        shape = self.config.contract.input_shape
        dataset = open_dataset(
            registry, moved, image_shape=shape, before=places(self._listed()), progress=progress
        )
        if dataset.fingerprint == self.config.data_fingerprint:
            return dataset
        where = moved.folder or f"{moved.name} in {moved.downloads}"
        if dataset.classes != self.config.contract.classes:
            raise DataError("The data has other classes than this run.", where=where)
        if not changed:
            raise DataError(
                f"The data has changed since this run was trained on it{self.difference(dataset)}.",
                where=where,
                hint="Restore it, name where it lies now with --data or --data-dir, or train anew.",
            )
        return dataset

    def _open_named(
        self, registry: Registry, named: Path | None, downloads: Path, progress: Progress | None
    ) -> Dataset:
        if named is None:
            raise UsageError(
                "This run was imported without data.",
                where=self.folder,
                hint="Name a data set or a folder of class folders with --data.",
            )
        contract = self.config.contract
        config = data_config(str(named), registry, downloads=downloads, resize=contract.resize)
        shape = contract.input_shape
        dataset = open_dataset(registry, config, image_shape=shape, progress=progress)
        if dataset.classes != contract.classes:
            raise DataError("The data has other classes than this run.", where=named)
        return dataset

    def changed(self, **fields: Any) -> Run:
        """This run with other fields of its configuration; `begin` writes them."""
        return Run(self.folder, replace(self.config, **fields))

    def begin(self, dataset: Dataset) -> None:
        """Write what is trained and on which images; drop what told of an end."""
        others = open_run(self.folder).config.data_fingerprint != self.config.data_fingerprint
        with disk_errors(self.folder):
            # First: they say which of the images a run.json of the new ones was split into.
            if others or not self.images.exists():
                self.write_images(dataset)
            _write_config(self.folder, self.config)
            for name in OF_THE_END:
                (self.folder / name).unlink(missing_ok=True)

    def write_images(self, dataset: Dataset) -> None:
        """Keep which image is in which split: one line [split, bytes, name] for each file."""
        listed = [json.dumps(entry, ensure_ascii=False) for entry in dataset.listing()]
        if listed:
            write_text(self.images, "\n".join(listed) + "\n")
        else:
            self.images.unlink(missing_ok=True)

    def difference(self, dataset: Dataset) -> str:
        """How many images were added, removed and changed; empty where that is not known."""
        before = self._listed()
        return f": {compare_listings(before, dataset.listing())}" if before else ""

    def _listed(self) -> list[Listed]:
        """The images as `write_images` kept them; none where that is not known."""
        try:
            # Not by splitlines, which takes some characters of a name for the end of a line.
            with self.images.open(encoding="utf-8") as lines:
                listed = [json.loads(line) for line in lines]
            return [(str(split), int(size), str(name)) for split, size, name in listed]
        except (OSError, ValueError, TypeError):
            return []

    def write_result(self, result: dict[str, Any]) -> None:
        write_json(self.folder / "result.json", result)

    def write_metrics(self, history: Iterable[EpochRecord]) -> None:
        # Written whole from what the checkpoint holds, so the two can never disagree.
        lines = (json.dumps(to_data(record), allow_nan=False) for record in history)
        write_text(self.folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def create_run(config: RunConfig, *, folder: Path | None = None) -> Run:
    """Make the run's folder and write run.json. Raises UsageError if it is taken."""
    folder = folder or _free_folder(config)
    if len(os.fsencode(folder.name)) > 200:
        raise UsageError("The run's name is too long (200 bytes).", where=folder)
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise UsageError(
            "The output folder is not empty.",
            where=folder,
            hint="Choose another --output, or `cnnreg resume` it if it is a run.",
        )
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write_config(folder, config)
    return Run(folder, config)


def _write_config(folder: Path, config: RunConfig) -> None:
    write_json(folder / "run.json", config_to_data(config))


def config_to_data(config: RunConfig) -> dict[str, Any]:
    return {"schema": SCHEMA, **to_data(config)}


def open_run(folder: Path) -> Run:
    """Raises ModelFileError if `folder` does not hold a readable run.json."""
    return run_from_data(folder, read_json(folder / "run.json"))


def run_from_data(folder: Path, data: Any) -> Run:
    """The run that run.json's `data` describes. Raises ModelFileError as `open_run` does."""
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
            weights=str(data["weights"]),
            loggers=tuple(map(str, data.get("loggers", ()))),
            changes=tuple(dict(change) for change in data.get("changes", ())),
            imported=dict(data.get("imported", {})),
        )
        datetime.fromisoformat(config.created)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, DataError) as error:
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


def read_metrics(folder: Path) -> tuple[EpochRecord, ...]:
    """The finished epochs of a run. Raises ModelFileError if the file is damaged."""
    path = folder / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [_lax(json.loads(line)) for line in lines]
        if not all(isinstance(value, (int, float)) for item in found for value in item.values()):
            raise ValueError("a figure is no number")
        return tuple(EpochRecord(**item) for item in found)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise MachineError(f"Cannot read: {error.strerror}.", where=path) from error
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"Damaged metrics: {error}.", where=path) from error


@contextmanager
def recorded_failure(run: Run) -> Iterator[None]:
    """What ends a training before its time stays in failure.json until it goes on.

    A stop that was asked for, which leaves a whole checkpoint, is no failure.
    """
    path = run.folder / "failure.json"
    path.unlink(missing_ok=True)
    try:
        yield
    except StoppedError:
        raise
    except Exception as error:
        with suppress(CnnregError):  # a full disk, say: the error itself matters more
            kind = "diverged" if isinstance(error, DivergedError) else "failed"
            what = error.what if isinstance(error, CnnregError) else one_line(error)
            write_json(path, {"state": kind, "what": what, "at": now()})
        raise


def _lax(record: dict[str, Any]) -> dict[str, Any]:
    return {key: nan if value is None else value for key, value in record.items()}


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="microseconds")


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
