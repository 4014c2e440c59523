"""A recipe on the command line: one flag for each of its fields, and `--recipe`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import Field
from typing import Any

import click

from cnnreg.recipe import CHOICES, flag_of, recipe_fields

from .common import NumberRange
from .options import Decorator, Listed, together

TYPES: dict[type, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
}


def recipe_options(without: Iterable[str] = ()) -> Decorator:
    """--recipe, and flags for all fields but those `without`."""
    return together(
        click.option(
            "--recipe",
            "recipe_name",
            help="A recipe by name, or a TOML file of these settings. It changes the network's "
            "own, which comes before the defaults told here.",
        ),
        setting_options({field.name for field in recipe_fields()} - {*without}),
    )


def setting_options(names: Collection[str], default: str = "") -> Decorator:
    """Flags for these fields of a recipe; one left out is None, and changes nothing.

    `default` is what that means, where it is not the default of the field.
    """
    return together(*(_option(field, default) for field in recipe_fields() if field.name in names))


def _option(field: Field[Any], default: str) -> Decorator:
    own = field.default
    shown = default or (",".join(map(str, own)) if isinstance(own, tuple) else own)
    return click.option(
        flag_of(field.name),
        field.name,
        type=_type(field.name, own),
        help=f"{field.metadata['help']} Default: {shown}.",
    )


def _type(name: str, default: Any) -> click.ParamType[Any]:
    if name in CHOICES:
        return click.Choice(CHOICES[name])
    return Listed(NumberRange()) if isinstance(default, tuple) else TYPES[type(default)]
