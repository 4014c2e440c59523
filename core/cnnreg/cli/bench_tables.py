"""What `cnnreg bench` prints: the times, what to think of them, and the machine."""

from __future__ import annotations

from typing import Any

from cnnreg.timing.bench import BenchResult
from cnnreg.timing.race import Race

from .common import console

NARROWEST = len("20260101-120000")  # of the names: what may tell one run from another


def show(raced: Race) -> None:
    from rich.markup import escape

    channels, height, width = raced.contract.input_shape
    results, machine = raced.results, raced.environment
    out = console()
    out.print(
        f"[bold]{raced.contract.architecture}[/], {channels}x{height}x{width}, "
        f"batch {results[0].batch}, {raced.threads} threads; milliseconds a call, "
        f"speed-up against {escape(results[0].label)}"
    )
    out.print(_table(results, out.width), crop=False)
    for result in results:
        if result.warnings:
            out.print(f"[dim]{escape(result.label)}: {'; '.join(result.warnings)}[/]")
    for warning in raced.warnings:
        out.print(f"[yellow]{escape(warning)}[/]")
    processor, *devices = machine_lines(raced)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    load = "" if machine["load"] is None else f"load {machine['load']}, "
    details = f"{machine['cores']} cores ({', '.join(machine['isa'])}), {load}{machine['system']}"
    out.print(f"[dim]{escape(f'{processor}, {details}')}[/]")
    for line in (*devices, versions):
        out.print(f"[dim]{escape(line)}[/]")


def _table(results: list[BenchResult], room: int) -> Any:
    """In a narrow terminal the engines' names are folded: of a figure nothing may be lost."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    rows = [(result.label, *_figures(result)) for result in results]
    titles = ("engine", "p50", "p90", "p99", "images/s", "speed-up", "range", "calls")
    longest, *widths = (max(map(cell_len, column)) for column in zip(titles, *rows, strict=True))
    figures = sum(width + 2 for width in widths)
    whole = figures + min(longest, max(NARROWEST, room - figures))
    table = Table(box=None, header_style="bold", pad_edge=False, width=whole)
    table.add_column(titles[0], overflow="fold")
    for title in titles[1:]:
        style = "bold" if title == "speed-up" else ""
        table.add_column(title, justify="right", no_wrap=True, style=style)
    for label, *row in rows:
        table.add_row(Text(label), *row)
    return table


def _figures(result: BenchResult) -> tuple[str, ...]:
    low, high = result.speedup_range
    return (
        f"{result.p50:.3f}",
        f"{result.p90:.3f}",
        f"{result.p99:.3f}",
        f"{result.images_per_second:,.0f}",
        f"{result.speedup:.2f}x",
        f"{low:.2f}-{high:.2f}",
        str(result.calls),
    )


def machine_lines(raced: Race) -> list[str]:
    """The processor, with where its power comes from, and the other devices."""
    processor, power = raced.environment["processor"], raced.environment["power"]
    return [
        f"{processor}, on {power}" if power else processor,
        *(f"{place}: {name}" for place, name in raced.devices.items() if name != processor),
    ]
