"""`cnnreg plugins`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from cnnreg.discovery import discovered
from cnnreg.engines import require
from cnnreg.errors import PluginError, UnknownNameError, UsageError
from cnnreg.files import typed
from cnnreg.plugins import disabled_plugins, set_disabled
from cnnreg.registry import Registry
from cnnreg.scaffold import write_plugin
from cnnreg.specs import ArchitectureSpec, DatasetSpec, to_data

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
from .options import data_dir_option


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
@data_dir_option
@click.option("--data", type=folder_type, help="The images of the data set `folder`.")
@json_option
def check(name: str, data_dir: Path | None, data: Path | None, as_json: bool) -> None:
    """Run the conformance checks on NAME: a network or data set, or a plugin's networks and data.

    What a data set has to download it downloads.
    """
    from rich.markup import escape

    from cnnreg.conformance import (
        Outcome,
        all_checks,
        check_architecture,
        check_dataset,
        dataset_checks,
    )
    from cnnreg.specs.data import DOWNLOADS

    registry = get_registry()
    networks, datasets = _meant(registry, name)
    require(("torch",), "train")
    of_networks = all_checks(registry)
    of_data = dataset_checks(registry, downloads=data_dir or DOWNLOADS, folder=data)
    subjects = [(spec.name, check_architecture(spec, of_networks)) for spec in networks]
    subjects += [(spec.name, check_dataset(spec, of_data)) for spec in datasets]
    results: dict[str, list[Outcome]] = {}
    for subject, outcomes in subjects:
        if not as_json:
            console().print(f"[bold]{escape(subject)}[/]")
        for result in outcomes:
            results.setdefault(subject, []).append(result)
            if not as_json:
                mark = "[green]✓[/]" if result.passed else "[red]✗[/]"
                console().print(f"  {mark} {result.check}: {escape(result.reason)}")
    if as_json:
        print_json(results)
    failed = sum(not result.passed for checks in results.values() for result in checks)
    if failed:
        end(PluginError(f"{failed} conformance checks of '{name}' failed."), as_json=as_json)


def _meant(
    registry: Registry, name: str
) -> tuple[Sequence[ArchitectureSpec], Sequence[DatasetSpec]]:
    """What the plugin offers, else what is called so itself. Raises PluginError for nothing."""
    networks, datasets = registry.architectures, registry.datasets
    own_networks = [entry.spec for entry in networks.entries if entry.plugin.name == name]
    own_datasets = [entry.spec for entry in datasets.entries if entry.plugin.name == name]
    if own_networks or own_datasets:
        return own_networks, own_datasets
    if name in networks or name in datasets:
        return (
            [networks[name]] if name in networks else [],
            [datasets[name]] if name in datasets else [],
        )
    for plugin in registry.plugins:
        if plugin.name == name:
            reason = plugin.reason or (
                f"it is {plugin.state} and offers no network or data set to check"
            )
            raise PluginError(f"Plugin '{name}' cannot be checked: {reason}.")
    raise UnknownNameError("network or data set", name, [*networks, *datasets])


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
