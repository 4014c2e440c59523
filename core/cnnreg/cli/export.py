"""`cnnreg export`."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import click

from cnnreg.budget import DEFAULT_MINUTES
from cnnreg.errors import UsageError
from cnnreg.interrupts import terminable
from cnnreg.models import need
from cnnreg.publishing import ExportResult, load_original, publish
from cnnreg.registry import Entry, Registry
from cnnreg.runs import find_run
from cnnreg.specs import ExporterSpec, Interface, Precision

from .common import (
    console,
    folder_type,
    get_registry,
    human_bytes,
    json_option,
    percent,
    print_json,
)
from .data_options import moved_data_options

MODEL = "{model}"  # in an exporter's example


class ExportCommand(click.Command):
    """Has a flag for every format in the registry, a third party's included."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        flags = [
            click.Option([f"--{name}", f"format_{number}"], is_flag=True, help=entry.spec.summary)
            for number, (name, entry) in enumerate(_formats().items())
        ]
        return [*flags, *super().get_params(ctx)]


def _formats() -> dict[str, Entry[ExporterSpec]]:
    """The exporters by their flag: the name, or plugin:name where two plugins offer it."""
    catalog = get_registry().exporters
    conflicts = catalog.conflicts()
    return {e.qualified if e.spec.name in conflicts else e.spec.name: e for e in catalog.entries}


@click.command(cls=ExportCommand)
@click.argument("run", type=folder_type, required=False)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(["fp32", "fp16", "int8"]),
    multiple=True,
    help="Repeat for several; default: fp32.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    help="Accuracy budget in percentage points of top-1; default: fp16 0.5, int8 1.0.",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="int8: longest time to look for layers to leave in float, and again for fine-tuning.",
)
@click.option(
    "--embed",
    is_flag=True,
    help="A self-contained file: uint8 RGB pictures of any size in, probabilities out.",
)
@click.option(
    "--fixed", is_flag=True, help="For one image of the network's own size at a time, as GPUs want."
)
@click.option("--output", type=folder_type, help="Folder to write to; default: RUN/exports.")
@moved_data_options
@json_option
def command(
    run: Path | None,
    precisions: tuple[Precision, ...],
    max_drop: float | None,
    max_minutes: float,
    embed: bool,
    fixed: bool,
    output: Path | None,
    data: Path | None,
    data_dir: Path | None,
    as_json: bool,
    **formats: bool,
) -> None:
    """Write RUN, or the newest run, in other formats, each proven equal before it is named."""
    registry = get_registry()
    flags = [formats[f"format_{number}"] for number in range(len(_formats()))]
    chosen = zip(_formats().values(), flags, strict=True)
    exporters = [entry.spec for entry, wanted in chosen if wanted]
    if not exporters:
        known = " or ".join(f"--{name}" for name in _formats())
        raise UsageError("Say which format to write.", hint=f"Add {known}.")
    for exporter in exporters:
        need(exporter)
    opened = find_run(run)
    out = console(stderr=True)
    with terminable(), out.status("reading the run") as status:
        dataset = opened.open_data(registry, folder=data, downloads=data_dir)
        original = load_original(registry, opened, dataset)
        results = []
        for exporter in exporters:
            for precision in dict.fromkeys(precisions or ("fp32",)):
                result = publish(
                    registry,
                    original,
                    exporter,
                    precision,
                    output=output,
                    max_drop=max_drop,
                    max_minutes=max_minutes,
                    interface=Interface(embed=embed, fixed=fixed),
                    step=status.update,
                )
                results.append(result)
                if not as_json:
                    show(registry, result)
    if as_json:
        print_json(results)


def show(registry: Registry, result: ExportResult) -> None:
    """What was published, and the proof in one line for each runtime."""
    from rich.markup import escape

    out = console()
    out.print(
        f"[green]✓[/] [bold]{registry.exporters[result.format].title} {result.precision}[/]  "
        f"{human_bytes(result.bytes)}, {result.seconds:.1f} s  {escape(str(result.folder))}",
        soft_wrap=True,
    )
    for name, parity in result.parity.items():
        out.print(
            f"    {registry.runtimes[name].title}: same top-1 on {percent(parity.agreement)} of "
            f"{parity.images} images, accuracy {percent(parity.original_accuracy)} -> "
            f"{percent(parity.exported_accuracy)}, logits within {parity.largest_difference:.1e}",
            soft_wrap=True,
        )
    if result.quantised:
        out.print(f"    {escape(str(result.quantised))}", soft_wrap=True)
    example = registry.exporters[result.format].example
    if result.interface.embed and example:
        out.print("    Anywhere, without cnnreg:\n")
        code = example.replace(MODEL, repr(str(result.model)))
        out.print(indent(code, "      "), markup=False, highlight=False, soft_wrap=True)
