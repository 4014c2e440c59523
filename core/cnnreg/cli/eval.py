"""`cnnreg eval`."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import click

from cnnreg.errors import DataError
from cnnreg.models import choose_runtime, find_model, open_session
from cnnreg.parity import logits_of
from cnnreg.specs import RuntimeOptions

from .common import console, folder_type, get_registry, json_option, percent, print_json, say
from .data_options import data_for_model, data_options


@click.command("eval")
@click.argument("model", type=folder_type)
@data_options
@click.option(
    "--split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True
)
@click.option("--runtime", help="Engine to use; default: the format's own.")
@click.option("--device", default="CPU", show_default=True)
@json_option
def command(
    model: Path,
    data: str | None,
    data_dir: Path | None,
    split: str,
    runtime: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Measure MODEL's accuracy. MODEL is a run, an export folder, or a model file."""
    registry = get_registry()
    found = find_model(registry, model)
    dataset = data_for_model(registry, found, model, data, data_dir)
    if dataset.classes != found.contract.classes:
        raise DataError(
            f"The data has other classes than the model: {_names(dataset.classes)} "
            f"instead of {_names(found.contract.classes)}."
        )
    images = getattr(dataset, split)
    engine = choose_runtime(registry, found, runtime)
    session = open_session(engine, found, RuntimeOptions(device=device, note=say))
    with console(stderr=True).status(f"evaluating on {len(images)} images"):
        started = perf_counter()
        logits = logits_of(session, images.pixels)
        seconds = perf_counter() - started
    right = int((logits.argmax(1) == images.labels).sum())
    result = {
        "model": str(found.path),
        "format": found.format,
        "precision": found.precision,
        "runtime": engine.name,
        "data": dataset.name,
        "split": split,
        "images": len(images),
        "accuracy": right / len(images),
        "seconds": round(seconds, 3),
    }
    if as_json:
        print_json(result)
        return
    console().print(
        f"[bold]{percent(right / len(images))}[/] ({right} of {len(images)}) on the {split} "
        f"split of {dataset.name}, {found.label} in {engine.title}, {seconds:.1f} s"
    )


def _names(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"
