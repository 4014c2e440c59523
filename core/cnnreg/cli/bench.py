"""`cnnreg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnnreg.errors import MachineError
from cnnreg.files import disk_errors, write_json
from cnnreg.models import missing
from cnnreg.plugins import one_line
from cnnreg.runs import find_run
from cnnreg.specs import to_data
from cnnreg.timing.bench import PATIENCE, BenchOptions
from cnnreg.timing.race import Race, race

from .common import (
    NumberRange,
    console,
    folder_type,
    get_registry,
    json_option,
    print_json,
    say,
    spread,
    threads_option,
)
from .data_options import data_options

NOTHING_PROVEN = "None of these has been proven equal to its original: see `cnnreg export`."


@click.command()
@click.argument("models", type=folder_type, nargs=-1, callback=spread)
@data_options
@click.option("--runtime", "runtimes", multiple=True, help="Only these engines.")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("CPU",),
    show_default=True,
    help="CPU, GPU, NPU: where supported. Repeat for several, or: all.",
)
@threads_option
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
    f"still, at most {PATIENCE} times as long.",
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
    """Time MODELS, or the newest run and its exports, on the same images with equal threads."""
    paths = models or (find_run().folder,)
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
        "models": [str(path) for path in paths],
        "threads": raced.threads,
        "options": to_data(options),
        "results": to_data(raced.results),
        "fastest": to_data(raced.fastest),
        "environment": raced.environment,
    }
    if as_json:
        print_json(report)
    else:
        show(raced)
        console().print(f"\n{raced.fastest or NOTHING_PROVEN}", markup=False, soft_wrap=True)
    # Saved last: figures that took minutes must not be lost to a folder that is read-only.
    folder = output or (paths[0] if (paths[0] / "run.json").is_file() else None)
    try:
        chart = _save(folder, report, raced) if folder else None
    except MachineError as error:
        if not as_json:
            raise
        say(f"the report was not kept: {error.what} [{error.where}]")  # stdout has its document
        raise click.exceptions.Exit(error.exit_code) from error
    if chart and not as_json:
        saved = f"\nchart  {chart}\nreport {chart.with_suffix('.json')}"
        console().print(saved, markup=False, soft_wrap=True)


def show(raced: Race) -> None:
    from rich.markup import escape
    from rich.table import Table

    channels, height, width = raced.contract.input_shape
    results, machine = raced.results, raced.environment
    out = console()
    out.print(
        f"[bold]{raced.contract.architecture}[/], {channels}x{height}x{width}, "
        f"batch {results[0].batch}, {raced.threads} threads; milliseconds a call"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("engine", no_wrap=True)
    for column in ("p50", "p90", "p99", "images/s", "speed-up", "range", "calls"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        low, high = result.speedup_range
        table.add_row(
            escape(result.label),
            f"{result.p50:.3f}",
            f"{result.p90:.3f}",
            f"{result.p99:.3f}",
            f"{result.images_per_second:,.0f}",
            f"[bold]{result.speedup:.2f}x[/]",
            f"{low:.2f}-{high:.2f}",
            str(result.calls),
        )
    out.print(table)
    for result in results:
        if result.warnings:
            out.print(f"[dim]{escape(result.label)}: {'; '.join(result.warnings)}[/]")
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    load = "" if machine["load"] is None else f"load {machine['load']}, "
    out.print(
        f"[dim]{machine['processor']}, {machine['cores']} cores "
        f"({', '.join(machine['isa'])}), {load}{machine['system']}\n{versions}[/]"
    )


def _save(folder: Path, report: dict[str, Any], raced: Race) -> Path | None:
    """bench.json, and bench.png where matplotlib is installed; returns the picture's path."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "bench.json", report)
    if missing(("matplotlib",)):
        return None
    from cnnreg.timing.charts import draw_latencies

    path = folder / "bench.png"
    processor = raced.environment["processor"]
    try:
        draw_latencies(raced.results, raced.contract.architecture, processor, path)
    except MachineError:
        raise
    except Exception as error:  # noqa: BLE001 - the figures are kept; a picture is not worth them
        say(f"the chart could not be drawn: {one_line(error)}")
        return None
    return path
