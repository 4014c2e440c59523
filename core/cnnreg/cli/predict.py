"""`cnnreg predict`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from cnnreg.errors import DataError, UsageError
from cnnreg.using import Guess, load, predict

from .common import console, end, folder_type, get_registry, json_option, print_json, say, spread
from .options import engine_options


def _files(
    context: click.Context, parameter: click.Parameter, named: tuple[str, ...]
) -> tuple[Path, ...]:
    """Callback: the pictures' paths. Raises UsageError for what is no path."""
    for name in named:
        if name == "-" or re.match(r"\w[\w+.-]+://", name):
            raise UsageError(
                "Pictures are read from files alone.",
                where=name,
                hint="Save it to a file first, and name that.",
            )
    return spread(context, parameter, tuple(map(Path, named)))


@click.command()
@click.argument("model", type=folder_type)
@click.argument("images", nargs=-1, required=True, callback=_files)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes shown.")
@engine_options
@json_option
def command(
    model: Path, images: tuple[Path, ...], top: int, runtime: str | None, device: str, as_json: bool
) -> None:
    """Name what is in IMAGES. MODEL is a run, an export folder, or a model file."""
    opened = load(model, runtime=runtime, device=device, registry=get_registry(), note=say)
    results, failed = list[dict[str, Any]](), 0
    for image in images:
        try:
            guesses = predict(opened, image, top=top)
        except DataError as error:
            failed += 1
            results.append({"image": str(image), "error": error.what, "hint": error.hint})
            if not as_json:
                say(f"{image}: {error.what} {error.hint}".rstrip())
        else:
            found = [{"class": g.name, "probability": g.probability} for g in guesses]
            results.append({"image": str(image), "top": found})
            if not as_json:
                _print(image, guesses)
    if as_json:
        print_json({"predictions": results})
    if failed:
        end(DataError(f"{failed} of {len(images)} images could not be used."), as_json=as_json)


def _print(image: Path, guesses: list[Guess]) -> None:
    from rich.markup import escape

    shown = ", ".join(
        f"{'[dim]' if number else '[bold]'}{escape(guess.name)} {100 * guess.probability:.1f} %[/]"
        for number, guess in enumerate(guesses)
    )
    console().print(f"{escape(str(image))}: {shown}", emoji=False, soft_wrap=True)
