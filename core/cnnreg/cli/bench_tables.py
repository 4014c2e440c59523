"""What `cnnreg bench` prints: the times, what to think of them, and the machine."""

from __future__ import annotations

from cnnreg.timing.race import Race

from .common import console


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
    for warning in raced.warnings:
        out.print(f"[yellow]{escape(warning)}[/]")
    processor, *devices = machine_lines(raced)
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    load = "" if machine["load"] is None else f"load {machine['load']}, "
    details = f"{machine['cores']} cores ({', '.join(machine['isa'])}), {load}{machine['system']}"
    out.print(f"[dim]{escape(f'{processor}, {details}')}[/]")
    for line in (*devices, versions):
        out.print(f"[dim]{escape(line)}[/]")


def machine_lines(raced: Race) -> list[str]:
    """The processor, with where its power comes from, and the other devices."""
    processor, power = raced.environment["processor"], raced.environment["power"]
    return [
        f"{processor}, on {power}" if power else processor,
        *(f"{place}: {name}" for place, name in raced.devices.items() if name != processor),
    ]
