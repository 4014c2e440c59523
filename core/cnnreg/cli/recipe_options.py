"""A recipe on the command line: one flag for each of its fields, and `--recipe`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from cnnreg.recipe import CHOICES, flag_of, settings

TYPES: dict[type, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
}


class Shares(click.ParamType[Any]):
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is not numbers with commas between them.", param, ctx)


def recipe_options(without: Iterable[str] = ()) -> Callable[[Any], Any]:
    """Flags for all fields but those `without`; one left out is None, and keeps the recipe's."""

    def decorate(function: Any) -> Any:
        for field in reversed(settings()):
            if field.name not in without:
                function = _option(field.name, field.default, field.metadata["help"])(function)
        return click.option(
            "--recipe",
            "recipe_name",
            help="A recipe by name, or a TOML file of these settings. It changes the network's "
            "own, which comes before the defaults told here.",
        )(function)

    return decorate


def changing_options(names: Iterable[str]) -> Callable[[Any], Any]:
    """Flags for these fields of a run's own recipe; one left out is None, and changes nothing."""

    def decorate(function: Any) -> Any:
        for field in reversed(settings()):
            if field.name in names:
                function = _option(field.name, "the run's", field.metadata["help"], field.default)(
                    function
                )
        return function

    return decorate


def _option(name: str, default: Any, text: str, typed_as: Any = None) -> Any:
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return click.option(
        flag_of(name),
        name,
        type=_type(name, default if typed_as is None else typed_as),
        help=f"{text} Default: {shown}.",
    )


def _type(name: str, default: Any) -> click.ParamType[Any]:
    if name in CHOICES:
        return click.Choice(CHOICES[name])
    return Shares() if isinstance(default, tuple) else TYPES[type(default)]
