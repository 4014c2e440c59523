"""`cnnreg plugins`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.discovery import discovered
from cnnreg.engines import require
from cnnreg.errors import PluginError, UnknownNameError, UsageError
from cnnreg.files import typed
from cnnreg.plugins import disabled_plugins, set_disabled
from cnnreg.registry import Entry, Registry
from cnnreg.scaffold import write_plugin
from cnnreg.specs import ArchitectureSpec, to_data

from .common import (
    ListingGroup,
    console,
    end,
    folder_type,
    get_registry,
    json_option,
    print_json,
    titled_table,
)


@click.group(cls=ListingGroup)
def command() -> None:
    """Show, check, make, disable and enable plugins. Alone it shows them."""


@command.command("list")
@json_option
def show(as_json: bool) -> None:
    """Show every plugin found: its package, its state, and what it offers."""
    registry = get_registry()
    offers: dict[str, dict[str, list[str]]] = {status.name: {} for status in registry.plugins}
    for kind, catalog in registry.catalogs().items():
        for entry in catalog.entries:
            offers[entry.plugin.name].setdefault(kind, []).append(entry.spec.name)
    if as_json:
        print_json([{**to_data(s), "offers": offers[s.name]} for s in registry.plugins])
        return
    from rich.markup import escape

    table = titled_table(("plugin", "package", "state", "offers"))
    colours = {"loaded": "green", "failed": "red", "off": "dim"}
    for status in registry.plugins:
        texts = [f"{kind}: {', '.join(names)}" for kind, names in offers[status.name].items()]
        table.add_row(
            f"[bold]{escape(status.name)}[/]",
            escape(status.package),
            f"[{colours[status.state]}]{status.state}[/]",
            escape(status.reason) or "; ".join(texts),
        )
    console().print(table)


@command.command()
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> None:
    """Run the conformance checks on NAME: an architecture, or a plugin's architectures."""
    from rich.markup import escape

    from cnnreg.conformance import Outcome, all_checks, check_architecture

    registry = get_registry()
    entries = [e for e in registry.architectures.entries if e.plugin.name == name]
    entries = entries or [_known(registry, name)]
    require(("torch",), "train")
    results: dict[str, list[Outcome]] = {}
    for entry in entries:
        if not as_json:
            console().print(f"[bold]{escape(entry.spec.name)}[/]")
        results[entry.spec.name] = []
        for result in check_architecture(entry.spec, all_checks(registry)):
            results[entry.spec.name].append(result)
            if not as_json:
                mark = "[green]✓[/]" if result.passed else "[red]✗[/]"
                console().print(f"  {mark} {result.check}: {escape(result.reason)}")
    if as_json:
        print_json(results)
    failed = sum(not result.passed for checks in results.values() for result in checks)
    if failed:
        end(PluginError(f"{failed} conformance checks of '{name}' failed."), as_json=as_json)


def _known(registry: Registry, name: str) -> Entry[ArchitectureSpec]:
    """The architecture of that name. Raises PluginError for a plugin that offers none."""
    for plugin in registry.plugins:
        if plugin.name == name and name not in registry.architectures:
            reason = plugin.reason or f"it is {plugin.state} and offers no architecture to check"
            raise PluginError(f"Plugin '{name}' cannot be checked: {reason}.")
    return registry.architectures.entry(name)


@command.command()
@click.argument("name")
@click.option("--output", type=folder_type, default=Path(), help="Where to make the folder.")
def new(name: str, output: Path) -> None:
    """Make a plugin package NAME with a small working network and its tests."""
    if name in discovered():
        raise UsageError(f"There is a plugin '{name}' already.", hint="Choose another name.")
    folder = write_plugin(name, output)
    out = console()
    out.print("[green]✓[/]", end=" ")
    out.print(
        f"{folder}\n  next   pip install -e {typed(folder)}\n         cnnreg plugins check {name}",
        markup=False,
        soft_wrap=True,
    )


@command.command()
@click.argument("name")
def disable(name: str) -> None:
    """Leave the plugin NAME out from now on."""
    _switch(name, disabled=True)


@command.command()
@click.argument("name")
def enable(name: str) -> None:
    """Load the plugin NAME again."""
    _switch(name, disabled=False)


def _switch(name: str, *, disabled: bool) -> None:
    # Found by metadata alone: a plugin that breaks on import must not stop its disabling.
    # A name that is disabled can be enabled even if its plugin is gone, or called otherwise now.
    names = {*discovered(), *(() if disabled else disabled_plugins())}
    if name not in names:
        raise UnknownNameError("plugin", name, names)
    set_disabled(name, disabled=disabled)
    console().print(f"plugin {name} is {'disabled' if disabled else 'enabled'}")
