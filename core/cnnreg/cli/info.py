"""`cnnreg info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cnnreg.engines import missing
from cnnreg.errors import UsageError, pip_line
from cnnreg.recipe import Recipe, label, read_recipe
from cnnreg.registry import Entry
from cnnreg.runs.overview import changes
from cnnreg.specs import ArchitectureSpec, Form, ModelOptions, RecipeSpec, to_data

from .common import (
    console,
    get_registry,
    human_count,
    json_option,
    print_json,
    shape_text,
    titled_table,
)
from .list import spec_data
from .options import form_option, image_size_option

if TYPE_CHECKING:
    from cnnreg.networks.anatomy import Stage


@click.command()
@click.argument("name")
@form_option
@image_size_option
@click.option("--classes", type=click.IntRange(2), help="Number of classes.")
@click.option("--channels", type=click.IntRange(1), help="Channels of the images.")
@json_option
def command(
    name: str,
    form: Form | None,
    image_size: int | None,
    classes: int | None,
    channels: int | None,
    as_json: bool,
) -> None:
    """Show the network NAME: paper, licence, size, cost, and its stages; or the recipe NAME."""
    registry = get_registry()
    if name not in registry.architectures and name in registry.recipes:
        _recipe(registry.recipes.entry(name), as_json=as_json)
        return
    entry = registry.architectures.entry(name)
    spec = entry.spec
    options = _options(spec, form, image_size, classes, channels)
    stages = _stages(spec, options)
    if as_json:
        offered = {"plugin": entry.plugin.name, "package": entry.plugin.package}
        shown = {"shown": to_data(options), "stages": stages}
        print_json({**spec_data(spec), **offered, **shown})
        return
    _print(entry, options, stages)


def _options(
    spec: ArchitectureSpec,
    form: Form | None,
    image_size: int | None,
    classes: int | None,
    channels: int | None,
) -> ModelOptions:
    depth, height, width = spec.input_shape
    shape = (channels or depth, image_size or height, image_size or width)
    if min(shape[1:]) < spec.min_size:
        raise UsageError(
            f"Image size {min(shape[1:])} is too small for this network.",
            hint=f"It takes {spec.min_size} or more.",
        )
    try:
        return spec.options(num_classes=classes, input_shape=shape, form=form)
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _stages(spec: ArchitectureSpec, options: ModelOptions) -> list[Stage] | None:
    if missing(("torch",)):
        return None
    from cnnreg.networks.anatomy import stages
    from cnnreg.networks.weightless import built_weightless
    from cnnreg.plugins import blaming

    shown = f"{spec.name} at {shape_text(options.input_shape)}"
    with blaming(shown):
        return stages(built_weightless(lambda: spec.build(options)), options.input_shape)


def _print(
    entry: Entry[ArchitectureSpec], options: ModelOptions, stages: list[Stage] | None
) -> None:
    from rich.markup import escape
    from rich.table import Table

    spec, out = entry.spec, console()
    out.print(f"[bold]{spec.name}[/]  {escape(spec.summary)}\n")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    rows: list[tuple[str, Any]] = [
        ("paper", f"{spec.paper.title} ({spec.paper.year}), {spec.paper.url}"),
        ("family", spec.family),
        ("plugin", f"{entry.plugin.name} ({entry.plugin.package})"),
        ("licence", spec.licence),
        ("parameters", f"{spec.parameters:,} at {spec.num_classes} classes"),
        ("MACs", f"{human_count(spec.macs)} at {shape_text(spec.input_shape)}"),
        ("smallest image", f"{spec.min_size}x{spec.min_size}"),
        ("small images", spec.small_form or "the same network at every size"),
        ("published weights", "yes, --pretrained" if spec.pretrained else "no"),
        ("recipe", _told(spec.recipe) or "the usual one: the defaults of `cnnreg train --help`"),
    ]
    for fact, text in rows:
        facts.add_row(fact, escape(str(text)))
    out.print(facts)
    if stages is None:
        out.print(f"\nThe stage table needs torch: {pip_line('torch', 'train')}", markup=False)
        return
    out.print(
        f"\nStages at {shape_text(options.input_shape)}, {options.num_classes} classes, "
        f"{options.form} form"
    )
    out.print(_stage_table(stages))


def _told(recipe: Recipe) -> str:
    """In what it differs from the usual one."""
    return ", ".join(f"{label(name)} {own}" for name, (own, _) in changes(recipe, Recipe()).items())


def _recipe(entry: Entry[RecipeSpec], *, as_json: bool) -> None:
    spec = entry.spec
    recipe = read_recipe(spec.path, Recipe())
    if as_json:
        settings = {name: own for name, (own, _) in changes(recipe, Recipe()).items()}
        offered = {"plugin": entry.plugin.name, "package": entry.plugin.package}
        print_json({**to_data(spec), **offered, "settings": settings})
        return
    for text in (
        f"{spec.name}  {spec.summary}",
        f"sets    {_told(recipe)}",
        f"file    {spec.path}",
        f"use     cnnreg train NETWORK --recipe {spec.name}",
    ):
        console().print(text, markup=False, soft_wrap=True)


def _stage_table(stages: list[Stage]) -> Any:
    from cnnreg.networks.summary import TITLES, stage_row

    table = titled_table(TITLES)
    for stage in stages:
        table.add_row(*stage_row(stage)[:-1], human_count(stage.macs))
    table.add_section()
    parameters, macs = (sum(getattr(s, key) for s in stages) for key in ("parameters", "macs"))
    table.add_row("total", "", "", "", "", "", f"{parameters:,}", human_count(macs), style="bold")
    return table
