"""`cnnreg predict`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cnnreg.belongings import pictures_below
from cnnreg.errors import DataError, UsageError
from cnnreg.termination import stop_if_asked
from cnnreg.using import Guess, Model, load, predict

from .common import console, end, folder_type, get_registry, json_option, print_json, say, spread
from .finished import telling
from .options import engine_options


def _files(
    context: click.Context, parameter: click.Parameter, named: tuple[str, ...]
) -> tuple[Path, ...]:
    """Callback: the pictures' paths. Raises UsageError for what is no path, and DataError."""
    for name in named:
        if name == "-" or re.match(r"\w[\w+.-]+://", name):
            raise UsageError(
                "Pictures are read from files alone.",
                where=name,
                hint="Save it to a file first, and name that.",
            )
    paths = spread(context, parameter, tuple(map(Path, named)))
    found = (pictures_below(path) if path.is_dir() else [path] for path in paths)
    return tuple(picture for pictures in found for picture in pictures)


@click.command()
@click.argument("model", type=folder_type)
@click.argument("images", nargs=-1, required=True, callback=_files)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes shown.")
@engine_options
@json_option
def command(
    model: Path, images: tuple[Path, ...], top: int, runtime: str | None, device: str, as_json: bool
) -> None:
    """Name what is in IMAGES, files or folders of them.

    MODEL is a run, an export folder, or a model file.
    """
    opened = load(model, runtime=runtime, device=device, registry=get_registry(), note=say)
    results = list[dict[str, Any]]()
    with telling(lambda: results, lambda: f"Stopped after {len(results)} of {len(images)} images."):
        for image in images:
            results.append(_answer(opened, image, top, as_json=as_json))
    if as_json:
        print_json({"predictions": results})
    failed = sum("error" in result for result in results)
    if failed:
        end(DataError(f"{failed} of {len(images)} images could not be used."), as_json=as_json)


def _answer(model: Model, image: Path, top: int, *, as_json: bool) -> dict[str, Any]:
    """What is in one picture, or why it cannot be read; told at once where people read."""
    try:
        guesses = predict(model, image, top=top)
    except DataError as error:
        stop_if_asked()  # a decoder may have made it of the signal to stop
        if not as_json:
            say(f"{image}: {error.what} {error.hint}".rstrip())
        return {"image": str(image), "error": error.what, "hint": error.hint}
    if not as_json:
        _print(image, guesses)
    found = [{"class": g.name, "probability": g.probability} for g in guesses]
    return {"image": str(image), "top": found}


def _print(image: Path, guesses: list[Guess]) -> None:
    from rich.markup import escape

    shown = ", ".join(
        f"{'[dim]' if number else '[bold]'}{escape(guess.name)} {100 * guess.probability:.1f} %[/]"
        for number, guess in enumerate(guesses)
    )
    console().print(f"{escape(str(image))}: {shown}", emoji=False, soft_wrap=True)
