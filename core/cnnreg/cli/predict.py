"""`cnnreg predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnreg.errors import DataError
from cnnreg.images import fit, read_image
from cnnreg.models import choose_runtime, find_model, open_session
from cnnreg.specs import ModelContract, RuntimeOptions, Session

from .common import console, folder_type, get_registry, json_option, print_json, say

if TYPE_CHECKING:
    from cnnreg.specs import Pixels


@click.command()
@click.argument("model", type=folder_type)
@click.argument("images", type=folder_type, nargs=-1, required=True)
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Classes shown.")
@click.option("--runtime", help="Engine to use; default: the format's own.")
@click.option("--device", default="CPU", show_default=True)
@json_option
def command(
    model: Path, images: tuple[Path, ...], top: int, runtime: str | None, device: str, as_json: bool
) -> None:
    """Name what is in IMAGES. MODEL is a run, an export folder, or a model file."""
    registry = get_registry()
    found = find_model(registry, model)
    engine = choose_runtime(registry, found, runtime)
    session = open_session(engine, found, RuntimeOptions(device=device, note=say))
    results, failed = [], 0
    for image in images:
        try:
            result = predict(session, found.contract, image, top=top)
        except DataError as error:
            failed += 1
            result = {"image": str(image), "error": error.what}
            if not as_json:
                click.echo(f"{image}: {error.what}", err=True)
        else:
            if not as_json:
                _print(result)
        results.append(result)
    if as_json:
        print_json({"predictions": results})
    if failed:
        click.echo(f"{failed} of {len(images)} images could not be used.", err=True)
        sys.exit(DataError.exit_code)


def predict(session: Session, contract: ModelContract, image: Path, *, top: int) -> dict[str, Any]:
    """The `top` most likely classes of one picture. Raises DataError if it cannot be read."""
    import numpy as np

    pixels = load_pixels(image, contract)
    logits = session.infer(session.prepare(pixels[None]))[0].astype(np.float64)
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    best = np.argsort(-shares)[:top]
    return {
        "image": str(image),
        "top": [
            {"class": contract.classes[index], "probability": float(shares[index])}
            for index in best
        ],
    }


def load_pixels(image: Path, contract: ModelContract) -> Pixels:
    """A picture as the model was trained to see it: uint8 [H, W, C]."""
    channels, height, width = contract.input_shape
    return fit(read_image(image, channels), height, width, contract.resize)


def _print(result: dict[str, Any]) -> None:
    from rich.markup import escape

    shown = ", ".join(
        f"{'[bold]' if number == 0 else '[dim]'}{escape(item['class'])} "
        f"{100 * item['probability']:.1f} %[/]"
        for number, item in enumerate(result["top"])
    )
    console().print(f"{escape(result['image'])}: {shown}", emoji=False)
