"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click

from cnnreg.data.config import TEST_FRACTION, VAL_FRACTION
from cnnreg.specs import Form, Resize
from cnnreg.specs.data import DOWNLOADS

from .common import NumberRange, folder_type

Decorator = Callable[[Any], Any]

SHARE = NumberRange(0, 0.5, min_open=True)


class Listed(click.ParamType[tuple[Any, ...]]):
    """One of a kind, or several with commas between them."""

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self.kind = kind
        self.name = f"{kind.name},..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if not parts:
            self.fail("it is empty.", param, ctx)
        return tuple(self.kind.convert(part, param, ctx) for part in parts)


def together(*options: Decorator) -> Decorator:
    """A decorator that adds these options, in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


data_dir_option = click.option(
    "--data-dir",
    type=folder_type,
    help=f"Where downloaded data sets lie, or go; default: {DOWNLOADS}.",
)
data_options = together(
    click.option(
        "--data", help="A data set of `cnnreg list --kind datasets`, or a folder of class folders."
    ),
    data_dir_option,
)
moved_data_options = together(
    click.option(
        "--data",
        type=folder_type,
        help="Where the run's folder of images lies now, if moved; data for an imported run.",
    ),
    click.option("--data-dir", type=folder_type, help="Where downloaded data lie now, if moved."),
)
image_size_option = click.option(
    "--image-size",
    type=click.IntRange(8, 4096),
    help="Height and width; default: the images' own if all have one up to 96, else the network's.",
)
resize_option = click.option(
    "--resize",
    type=click.Choice(get_args(Resize)),
    default="squash",
    show_default=True,
    help="How images of another shape are made to fit.",
)
image_options = together(  # fields of DataConfig
    image_size_option,
    resize_option,
    click.option(
        "--val-fraction",
        type=SHARE,
        default=VAL_FRACTION,
        show_default=True,
        help="Share of the training images held out to choose by, where the data come "
        "without a validation split.",
    ),
    click.option(
        "--test-fraction",
        type=SHARE,
        default=TEST_FRACTION,
        show_default=True,
        help="Held out to test, where the data come without a test split.",
    ),
)
form_option = click.option(
    "--form", type=click.Choice(get_args(Form)), help="Default: by image size."
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ..."
)
engine_options = together(
    click.option("--runtime", help="Engine to use; default: the format's own."),
    click.option("--device", default="CPU", show_default=True),
)
run_output_option = click.option(
    "--output", type=folder_type, help="The run's folder; default: a new one in runs/."
)
