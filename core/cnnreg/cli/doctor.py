"""`cnnreg doctor`."""

from __future__ import annotations

from typing import Any

import click

from cnnreg.environment import environment
from cnnreg.models import missing
from cnnreg.plugins import one_line
from cnnreg.registry import Registry
from cnnreg.specs import ExporterSpec, RuntimeSpec

from .common import console, get_registry, json_option, print_json


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Show this machine, the devices each runtime sees, and how to mend what is missing."""
    registry = get_registry()
    report = {
        "environment": environment(),
        "runtimes": [_runtime(spec) for spec in registry.runtimes.specs],
        "formats": [_requirement(spec) for spec in registry.exporters.specs],
        "plugins": [status for status in registry.plugins if status.state != "loaded"],
    }
    if as_json:
        print_json(report)
    else:
        _print(registry, report)


def _requirement(spec: ExporterSpec | RuntimeSpec) -> dict[str, Any]:
    lacking = missing(spec.requires)
    mend = f"pip install 'cnn-registry[{spec.extra}]'" if lacking else ""
    return {"name": spec.name, "title": spec.title, "missing": lacking, "mend": mend}


def _runtime(spec: RuntimeSpec) -> dict[str, Any]:
    facts = _requirement(spec)
    if facts["missing"]:
        return {**facts, "devices": {}}
    try:
        return {**facts, "devices": dict(spec.devices())}
    except Exception as error:  # noqa: BLE001 - a broken driver is what this command is for
        return {**facts, "devices": {}, "missing": one_line(error), "mend": "reinstall its package"}


def _print(registry: Registry, report: dict[str, Any]) -> None:
    from rich.table import Table

    out, machine = console(), report["environment"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("processor", f"{machine['processor']}, {machine['cores']} cores")
    table.add_row("instructions", ", ".join(machine["isa"]) or "none of the decisive ones")
    table.add_row("memory", f"{machine['memory_gib']} GiB")
    table.add_row("load", f"{machine['load']}, power: {machine['power'] or 'unknown'}")
    table.add_row("system", f"{machine['system']}, Python {machine['python']}")
    for name, number in machine["versions"].items():
        table.add_row(name, number)
    for facts in report["runtimes"]:
        devices = ", ".join(f"{key} ({full})" for key, full in facts["devices"].items())
        table.add_row(facts["title"], devices or _lack(facts))
    for facts in report["formats"]:
        table.add_row(f"{facts['title']} export", _lack(facts) if facts["missing"] else "ready")
    out.print(table)
    for status in report["plugins"]:
        out.print(f"plugin {status.name} is {status.state}: {status.reason}", markup=False)
    if "bf16" not in " ".join(machine["isa"]):
        out.print("This processor has no bfloat16: --precision bf16 would be emulated and slow.")


def _lack(facts: dict[str, Any]) -> str:
    return f"not usable: {facts['missing']}; {facts['mend']}".replace("[", "\\[")
