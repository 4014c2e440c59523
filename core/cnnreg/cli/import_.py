"""`cnnreg import`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from cnnreg.data import DataConfig, Dataset, data_config
from cnnreg.files import typed
from cnnreg.planning import open_for
from cnnreg.registry import Registry
from cnnreg.runs import Run, create_run
from cnnreg.specs import Form, Resize
from cnnreg.specs.data import DOWNLOADS

from .common import (
    NumberRange,
    console,
    folder_type,
    get_registry,
    json_option,
    print_json,
    say,
    shape_text,
)
from .following import note_data
from .options import (
    Listed,
    data_options,
    image_size_option,
    resize_option,
    run_output_option,
)
from .progress import DecodeProgress

if TYPE_CHECKING:
    from cnnreg.importing.importer import Import


class Level(NumberRange):
    """Of pixels of 0 to 1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number > 1:
            self.fail(f"{value} is not of pixels of 0 to 1: divide by 255.", param, ctx)
        return number


@click.command("import")
@click.argument("file", type=folder_type)
@click.option("--arch", "architecture", required=True, help="The network: `cnnreg list`.")
@click.option("--key", help="Part of the file to take, for example model_ema.")
@click.option("--partial", is_flag=True, help="Take what fits, leave the rest untrained.")
@click.option("--classes", help="A file with their names, a line each or JSON; imagenet.")
@data_options
@click.option(
    "--form", type=click.Choice(get_args(Form)), help="Default: the one that fits, by image size."
)
@image_size_option
@click.option(
    "--mean",
    type=Listed(Level(0)),
    help="Of the pixels, 0 to 1; default: the data's, or those of the network's published weights.",
)
@click.option("--std", type=Listed(Level(0)), help="Likewise, their deviation.")
@resize_option
@run_output_option
@json_option
def command(
    file: Path,
    architecture: str,
    key: str | None,
    partial: bool,
    classes: str | None,
    data: str | None,
    data_dir: Path | None,
    form: Form | None,
    image_size: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    resize: Resize,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make a run of weights in FILE that were trained elsewhere: .pt, .pth or .safetensors.

    Only tensors are read, never code. With --data the run has images to be
    evaluated, exported and trained on.
    """
    registry = get_registry()
    name = registry.architectures[architecture].name
    from cnnreg.importing.classes import read_classes
    from cnnreg.importing.contract import Wishes
    from cnnreg.importing.importer import plan_import, write_import
    from cnnreg.importing.mismatch import channels_of
    from cnnreg.importing.reading import read_weights

    wishes = Wishes(
        classes=read_classes(classes) if classes else None,
        form=form,
        image_size=image_size,
        mean=mean,
        std=std,
        resize=resize,
        partial=partial,
    )
    with console(stderr=True).status(f"reading {file.name}"):
        weights = read_weights(file, key)
    opened = None
    if data is not None:
        config = data_config(
            data,
            registry,
            note=say,
            downloads=data_dir or DOWNLOADS,
            image_size=image_size,
            resize=resize,
        )
        channels = channels_of(registry, architecture, weights, form)
        opened = _open(registry, architecture, config, channels)
    planned = plan_import(registry, architecture, weights, wishes, data=opened, note=say)
    run = create_run(planned.config, folder=output)
    write_import(run, planned, opened[1] if opened else None)
    if as_json:
        contract = planned.config.contract
        print_json({"run": run.folder, "contract": contract, **planned.config.imported})
        return
    _show(run, planned, name)


def _open(
    registry: Registry, architecture: str, config: DataConfig, channels: int | None
) -> tuple[DataConfig, Dataset]:
    with DecodeProgress(console(stderr=True)) as decoding:
        dataset = open_for(
            registry, architecture, config, channels=channels, progress=decoding.update
        )
        note_data(dataset)
    return replace(config, image_size=dataset.image_shape[1]), dataset


def _show(run: Run, planned: Import, name: str) -> None:
    from cnnreg.importing.fitting import listed

    contract, fit = run.config.contract, planned.fit
    out = console()
    out.print(
        f"[green]✓[/] [bold]{name}[/]: {len(fit.taken)} of {fit.total} tensors taken",
        soft_wrap=True,
    )
    moments = " and ".join(
        "/".join(f"{value:.3g}" for value in values) for values in (contract.mean, contract.std)
    )
    rows = [
        ("differs", fit.differences()),
        ("form", contract.form),
        ("classes", f"{contract.num_classes}: {listed(contract.classes)}"),
        (
            "images",
            f"{shape_text(contract.input_shape)}, {contract.resize}, mean and std {moments}",
        ),
        ("data", run.config.data.label if contract.dataset else ""),
        ("run", str(run.folder)),
        *_next(run, contract.architecture, known=bool(contract.dataset)),
    ]
    for label, text in rows:
        if text:
            out.print(f"  {label:<8} {text}", markup=False, soft_wrap=True)


def _next(run: Run, name: str, *, known: bool) -> list[tuple[str, str]]:
    """The commands that go on from here."""
    data = "" if known else " --data photos/"
    return [
        ("next", f"cnnreg predict {typed(run.folder)} picture.jpg"),
        ("", f"cnnreg eval {typed(run.folder)}{data}"),
        ("", f"cnnreg export {typed(run.folder)} --onnx{data}"),
        ("", f"cnnreg train {name} --weights {typed(run.folder)} --data photos/"),
    ]
