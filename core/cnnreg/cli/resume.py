"""`cnnreg resume`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.errors import UsageError
from cnnreg.runs import find_run

from .common import folder_type, get_registry, json_option
from .data_options import moved_data_options
from .train import follow


@click.command()
@click.argument("run", type=folder_type, required=False)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@moved_data_options
@json_option
def command(
    run: Path | None, device: str, data: Path | None, data_dir: Path | None, as_json: bool
) -> None:
    """Go on with RUN, or the newest run, exactly where it stopped."""
    registry, opened = get_registry(), find_run(run)
    if opened.result is not None:
        raise UsageError(
            "This run has finished.",
            where=opened.folder,
            hint=f"Use it: cnnreg export {opened.folder} --openvino",
        )
    dataset = opened.open_data(registry, folder=data, downloads=data_dir)
    follow(registry, opened, dataset, device=device, as_json=as_json)
