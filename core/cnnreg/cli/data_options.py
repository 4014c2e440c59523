"""The options that name data, and finding the data that a model was made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cnnreg.data import Dataset, data_config, open_dataset
from cnnreg.errors import UsageError
from cnnreg.registry import Registry
from cnnreg.runs import open_run
from cnnreg.specs import ModelFile

from .common import folder_type

DEFAULT_DOWNLOADS = Path("data")


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --data and --data-dir."""
    function = click.option(
        "--data-dir",
        type=folder_type,
        help=f"Where downloaded data sets lie, or go; default: {DEFAULT_DOWNLOADS}.",
    )(function)
    return click.option(
        "--data", help="A data set of `cnnreg list --kind datasets`, or a folder of class folders."
    )(function)


def moved_data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --data and --data-dir for a run whose data lie elsewhere now."""
    function = click.option(
        "--data-dir", type=folder_type, help="Where downloaded data lie now, if moved."
    )(function)
    return click.option(
        "--data",
        type=folder_type,
        help="Where the run's folder of images lies now, if moved; data for an imported run.",
    )(function)


def data_for_model(
    registry: Registry,
    model: ModelFile,
    path: Path,
    data: str | None,
    data_dir: Path | None,
) -> Dataset:
    """The data that was named, else the data of the run that the model belongs to."""
    run_folder = next(
        (p for p in (path, *path.resolve().parents) if (p / "run.json").is_file()), None
    )
    if data is None and run_folder is not None:
        return open_run(run_folder).open_data(registry, downloads=data_dir)
    contract = model.contract
    if not (data or contract.dataset):
        raise UsageError(
            "This model was imported without data.",
            where=path,
            hint="Name a data set or a folder of class folders with --data.",
        )
    config = data_config(
        data or contract.dataset,
        registry,
        downloads=data_dir or DEFAULT_DOWNLOADS,
        resize=contract.resize,
    )
    return open_dataset(registry, config, image_shape=contract.input_shape)
