"""`cnnreg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnnreg.engines import MOST_THREADS, missing
from cnnreg.errors import MachineError, one_line
from cnnreg.files import disk_errors, write_json
from cnnreg.runs import is_run, now
from cnnreg.specs import to_data
from cnnreg.timing.bench import BenchOptions
from cnnreg.timing.race import Race, race
from cnnreg.timing.turns import PATIENCE
from cnnreg.using import place_of

from .bench_tables import machine_lines, show
from .common import (
    NumberRange,
    console,
    end,
    folder_type,
    get_registry,
    json_option,
    print_json,
    say,
    spread,
)
from .newest import named_or_newest
from .options import data_dir_option

NOTHING_PROVEN = "None of these has been proven equal to its original: see `cnnreg export`."


@click.command()
@click.argument("models", type=folder_type, nargs=-1, callback=spread)
@click.option(
    "--data", help="A data set of `cnnreg list --kind datasets`, or any folder of pictures."
)
@data_dir_option
@click.option("--runtime", "runtimes", multiple=True, help="Only these engines.")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("CPU",),
    show_default=True,
    help="CPU, GPU, NPU: where supported. Repeat for several, or: all.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="Processor threads; default: physical cores.",
)
@click.option("--batch", type=click.IntRange(1, 4096), default=1, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--seconds",
    type=NumberRange(0.01, 600),
    default=0.5,
    show_default=True,
    help="Each contestant's time in a round.",
)
@click.option(
    "--warmup",
    type=NumberRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Least seconds that each contestant runs beforehand; it goes on until its times stand "
    f"still, at most {PATIENCE} times as long, or nine calls.",
)
@click.option("--output", type=folder_type, help="Folder for bench.json and bench.png.")
@json_option
def command(
    models: tuple[Path, ...],
    data: str | None,
    data_dir: Path | None,
    runtimes: tuple[str, ...],
    devices: tuple[str, ...],
    threads: int | None,
    batch: int,
    rounds: int,
    seconds: float,
    warmup: float,
    output: Path | None,
    as_json: bool,
) -> None:
    """Time MODELS, or the newest run and its exports, on the same images with equal threads.

    The speed-up is against the first row: the first model's, in the first of its engines.
    """
    paths = tuple(map(place_of, models)) or (named_or_newest(None).folder,)
    options = BenchOptions(batch=batch, rounds=rounds, seconds=seconds, warmup=warmup)
    with console(stderr=True).status("loading") as status:
        raced = race(
            get_registry(),
            paths,
            data=data,
            data_dir=data_dir,
            runtimes=runtimes,
            devices=devices,
            threads=threads,
            options=options,
            step=status.update,
            note=say,
        )
    report = {
        "created": now(),
        "models": [str(path) for path in paths],
        "threads": raced.threads,
        "options": to_data(options),
        "results": to_data(raced.results),
        "fastest": to_data(raced.fastest),
        "warnings": to_data(raced.warnings),
        "environment": raced.environment,
        "devices": raced.devices,
    }
    if not as_json:
        show(raced)
        console().print(f"\n{raced.fastest or NOTHING_PROVEN}", markup=False, soft_wrap=True)
    # Saved last: figures that took minutes must not be lost to a folder that is read-only.
    folder = output or (paths[0] if is_run(paths[0]) else None)
    chart, lost = None, None
    try:
        chart = _save(folder, report, raced) if folder else None
    except MachineError as error:
        what = f"The report was not kept: {error.what}"
        lost = MachineError(what, where=error.where, hint=error.hint)
    if as_json:  # after what can be stopped: that is a document too
        print_json(report)
    if lost:
        end(lost, as_json=as_json)
    if folder and not as_json:
        kept = [f"chart  {chart}"] if chart else []
        kept.append(f"report {folder / 'bench.json'}")
        console().print("", *kept, sep="\n", markup=False, soft_wrap=True)
    if raced.failure:
        end(raced.failure, as_json=as_json)


def _save(folder: Path, report: dict[str, Any], raced: Race) -> Path | None:
    """bench.json, and bench.png where matplotlib is installed; returns the picture's path."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "bench.json", report)
    if missing(("matplotlib",)):
        return None
    path = folder / "bench.png"
    try:
        from cnnreg.pictures.latencies import draw_latencies

        draw_latencies(raced.results, raced.contract.architecture, machine_lines(raced), path)
    except MachineError:
        raise
    except Exception as error:  # noqa: BLE001 - the figures are kept; a picture is not worth them
        say(f"the chart could not be drawn: {one_line(error)}")
        return None
    return path
