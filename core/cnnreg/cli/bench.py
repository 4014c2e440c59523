"""`cnnreg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnreg.bench import BenchOptions, BenchResult, benchmark
from cnnreg.choice import choose, is_proven
from cnnreg.environment import environment, physical_cores
from cnnreg.errors import UsageError
from cnnreg.files import write_json
from cnnreg.models import find_model, missing, models_of
from cnnreg.planning import data_for_model
from cnnreg.registry import Registry
from cnnreg.runs import find_run, open_run
from cnnreg.specs import ModelFile, RuntimeOptions, to_data

from .common import console, folder_type, get_registry, json_option, print_json, say, threads_option
from .contestants import load_contestants
from .data_options import data_options

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

IMAGES = 64
NOTHING_PROVEN = "None of these has been proven equal to its original: see `cnnreg export`."


@click.command()
@click.argument("models", type=folder_type, nargs=-1)
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
    type=click.FloatRange(0.01, 600),
    default=0.5,
    show_default=True,
    help="Each contestant's time in a round.",
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
    output: Path | None,
    as_json: bool,
) -> None:
    """Time MODELS, or the newest run and its exports, on the same images with equal threads."""
    registry = get_registry()
    paths = models or (find_run().folder,)
    found = [model for path in paths for model in _expand(registry, path)]
    if len({model.contract.input_shape for model in found}) > 1:
        raise UsageError("These models take images of different sizes; time them one by one.")
    dataset = data_for_model(registry, found[0], paths[0], data, data_dir)
    options = BenchOptions(batch=batch, rounds=rounds, seconds=seconds)
    settings = RuntimeOptions(threads=threads or physical_cores(), batch=batch, note=say)
    with console(stderr=True).status("loading") as status:
        images = sample_images(dataset.val, batch)
        before = environment()
        contestants = load_contestants(registry, found, settings, devices, only=runtimes)
        results = benchmark(contestants, images, options, step=status.update)
    choice = choose(results, [is_proven(contestant) for contestant in contestants])
    report = {
        "models": [str(path) for path in paths],
        "threads": settings.threads,
        "options": to_data(options),
        "results": to_data(results),
        "fastest": to_data(choice),
        "environment": before,
    }
    if as_json:
        print_json(report)
    else:
        show(results, found[0], report)
        console().print(f"\n{choice or NOTHING_PROVEN}", markup=False, soft_wrap=True)
    # Saved last: figures that took minutes must not be lost to a folder that is read-only.
    folder = output or (paths[0] if (paths[0] / "run.json").is_file() else None)
    chart = _save(folder, report, results, found[0]) if folder else None
    if chart and not as_json:
        saved = f"\nchart  {chart}\nreport {chart.with_suffix('.json')}"
        console().print(saved, markup=False, soft_wrap=True)


def _expand(registry: Registry, path: Path) -> list[ModelFile]:
    """A run stands for its checkpoint and all its exports."""
    if (path / "run.json").is_file():
        return models_of(registry, open_run(path))
    return [find_model(registry, path)]


def sample_images(images: Any, batch: int) -> Pixels:
    """Enough validation images for eight different batches, repeated if there are too few."""
    import numpy as np

    pixels: Pixels = images.take(max(IMAGES, 8 * batch), seed=0).pixels
    repeats = -(-batch // len(pixels))
    return np.tile(pixels, (repeats, 1, 1, 1)) if repeats > 1 else pixels


def show(results: list[BenchResult], model: ModelFile, report: dict[str, Any]) -> None:
    from rich.table import Table

    channels, height, width = model.contract.input_shape
    out = console()
    out.print(
        f"[bold]{model.contract.architecture}[/], {channels}x{height}x{width}, "
        f"batch {results[0].batch}, {report['threads']} threads; milliseconds a call"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("engine", no_wrap=True)
    for column in ("p50", "p90", "p99", "images/s", "speed-up", "range", "calls"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        low, high = result.speedup_range
        table.add_row(
            result.label,
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
            out.print(f"[dim]{result.label}: {'; '.join(result.warnings)}[/]")
    machine = report["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    out.print(
        f"[dim]{machine['processor']}, {machine['cores']} cores "
        f"({', '.join(machine['isa'])}), load {machine['load']}, {machine['system']}\n{versions}[/]"
    )


def _save(
    folder: Path, report: dict[str, Any], results: list[BenchResult], model: ModelFile
) -> Path | None:
    """bench.json, and bench.png where matplotlib is installed; returns the picture's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "bench.json", report)
    if missing(("matplotlib",)):
        return None
    from cnnreg.charts import draw_latencies

    path = folder / "bench.png"
    draw_latencies(results, model.contract.architecture, report["environment"]["processor"], path)
    return path
