"""The options that name data, and finding the data that a model was made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cnnreg.data import Dataset, data_config, open_dataset
from cnnreg.registry import Registry
from cnnreg.runs import open_run
from cnnreg.specs import ModelFile

from .common import folder_type


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --data and --data-dir."""
    function = click.option(
        "--data-dir",
        type=folder_type,
        default=Path("data"),
        show_default=True,
        help="Where downloaded data sets lie, or go.",
    )(function)
    return click.option(
        "--data", help="A data set of `cnnreg list --kind datasets`, or a folder of class folders."
    )(function)


def data_for_model(
    registry: Registry,
    model: ModelFile,
    path: Path,
    data: str | None,
    data_dir: Path,
) -> Dataset:
    """The data that was named, else the data of the run that the model belongs to."""
    run_folder = next(
        (p for p in (path, *path.resolve().parents) if (p / "run.json").is_file()), None
    )
    if data is None and run_folder is not None:
        return open_run(run_folder).open_data(registry)
    contract = model.contract
    config = data_config(
        data or contract.dataset,
        registry,
        downloads=data_dir,
        resize=contract.resize,
    )
    return open_dataset(registry, config, image_shape=contract.input_shape)
