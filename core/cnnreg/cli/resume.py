"""`cnnreg resume`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.errors import DataError, UsageError
from cnnreg.runs import find_run

from .common import folder_type, get_registry, json_option
from .train import follow


@click.command()
@click.argument("run", type=folder_type, required=False)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@json_option
def command(run: Path | None, device: str, as_json: bool) -> None:
    """Go on with RUN, or the newest run, exactly where it stopped."""
    registry, opened = get_registry(), find_run(run)
    if opened.result is not None:
        raise UsageError(
            "This run has finished.",
            where=opened.folder,
            hint=f"Use it: cnnreg export {opened.folder} --openvino",
        )
    dataset = opened.open_data(registry)
    if dataset.fingerprint != opened.config.data_fingerprint:
        raise DataError(
            "The data has changed since this run began.",
            where=opened.config.data.folder or opened.config.data.name,
            hint="Restore it, or train anew.",
        )
    follow(registry, opened, dataset, device=device, as_json=as_json)
