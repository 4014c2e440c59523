"""The options that name data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from cnnreg.planning import DEFAULT_DOWNLOADS

from .common import folder_type


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
