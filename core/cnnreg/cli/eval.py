"""`cnnreg eval`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.data.whole import ALL
from cnnreg.eval_data import SPLITS
from cnnreg.texts import percent
from cnnreg.using import evaluate, load

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
                "seconds": round(found.seconds, 3),
                "seen": found.seen,
                "remark": found.remark,
            }
        )
        return
    from rich.markup import escape

    which = "every image" if found.split == ALL else f"the {found.split} split"
    console().print(
        f"[bold]{percent(found.accuracy)}[/] ({found.right} of {found.images}) on {which} "
        f"of {found.data}, {opened.file.label} in {opened.runtime.title}, "
        f"{found.seconds:.1f} s: {escape(str(opened.path))}",
        soft_wrap=True,
    )
    if found.remark:
        console().print(found.remark, markup=False, soft_wrap=True)
