"""`cnnreg eval`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.data.whole import ALL
from cnnreg.eval_data import SPLITS
from cnnreg.texts import percent
from cnnreg.using import Evaluation, Model, evaluate, load

from .common import console, folder_type, get_registry, json_option, print_json, say
from .newest import named_or_newest
from .options import data_options, engine_options


@click.command("eval")
@click.argument("model", type=folder_type, required=False)
@data_options
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="Default: test; all, which is every image, of a folder that is not the run's own and has "
    "no test split.",
)
@engine_options
@json_option
def command(
    model: Path | None,
    data: str | None,
    data_dir: Path | None,
    split: str | None,
    runtime: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Measure the accuracy of MODEL, a run, an export folder or a model file; or the newest run."""
    model = model or named_or_newest(None).folder
    opened = load(model, runtime=runtime, device=device, registry=get_registry(), note=say)
    with console(stderr=True).status("opening the data") as status:
        found = evaluate(
            opened, data=data, data_dir=data_dir, split=split, step=status.update, note=say
        )
    if as_json:
        print_json(
            {
                "model": str(opened.file.path),
                "format": opened.file.format,
                "precision": opened.file.precision,
                "runtime": opened.runtime.name,
                "data": found.data,
                "folder": found.folder,
                "split": found.split,
                "images": found.images,
                "accuracy": found.accuracy,
                "interval": found.interval,
                "top5": found.top5,
                "seconds": round(found.seconds, 3),
                "seen": found.seen,
                "remark": found.remark,
                "classes": found.classes,
                "confusion": found.confusion,
            }
        )
    else:
        _print(opened, found)


def _print(model: Model, found: Evaluation) -> None:
    from rich.markup import escape

    out = console()
    which = "every image" if found.split == ALL else f"the {found.split} split"
    top5 = "" if found.top5 is None else f", top-5 {percent(found.top5)}"
    out.print(
        f"[bold]{percent(found.accuracy)}[/] ({found.right} of {found.images}; "
        f"{_range(*found.interval)}){top5} on {which} of {found.data}, {model.file.label} in "
        f"{model.runtime.title}, {found.seconds:.1f} s: {escape(str(model.path))}",
        emoji=False,
        soft_wrap=True,
    )
    if found.remark:
        out.print(found.remark, markup=False, soft_wrap=True)


def _range(low: float, high: float) -> str:
    """In percent, with as many digits as tell its ends apart."""
    digits = next((count for count in range(2) if high - low > 2 / 10 ** (count + 2)), 2)
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"
