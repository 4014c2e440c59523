"""The options that name data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click

from cnnreg.data.config import TEST_FRACTION, VAL_FRACTION
from cnnreg.planning import DEFAULT_DOWNLOADS
from cnnreg.specs import Resize

from .common import NumberRange, folder_type


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


def image_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --image-size, --resize, --val-fraction and --test-fraction: fields of DataConfig."""
    share = NumberRange(0, 0.5, min_open=True)
    for option in (
        click.option(
            "--test-fraction",
            type=share,
            default=TEST_FRACTION,
            show_default=True,
            help="Held out to test, where the data come without a test split.",
        ),
        click.option(
            "--val-fraction",
            type=share,
            default=VAL_FRACTION,
            show_default=True,
            help="Share of the training images held out to choose by, where the data come "
            "without a validation split.",
        ),
        click.option(
            "--resize",
            type=click.Choice(get_args(Resize)),
            default="squash",
            show_default=True,
            help="How images of another shape are made to fit.",
        ),
        click.option("--image-size", type=click.IntRange(8, 4096), help="Height and width."),
    ):
        function = option(function)
    return function


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
