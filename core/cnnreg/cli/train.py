"""`cnnreg train`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cnnreg.data import data_config
from cnnreg.engines import need
from cnnreg.errors import PluginError, UnknownNameError, UsageError
from cnnreg.planning import DEFAULT_DATA, make_recipe, places_before, plan
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, create_run
from cnnreg.specs import Form, Resize
from cnnreg.specs.data import DOWNLOADS
from cnnreg.using import place_of

from .common import NumberRange, console, get_registry, json_option, say
from .following import follow, note_data
from .options import (
    Listed,
    data_options,
    device_option,
    form_option,
    image_options,
    run_output_option,
)
from .progress import DecodeProgress
from .recipe_options import recipe_options

FINE_TUNING = "finetune"  # a recipe that is hinted at where there is one


class NamedPath(click.Path):
    """A path, or the name of a run."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(place_of(value), param, ctx)


@click.command()
@click.argument("architecture")
@data_options
@image_options
@recipe_options()
@click.option("--dropout", type=NumberRange(0, 0.99), help="Default: the paper's own.")
@form_option
@click.option("--pretrained", is_flag=True, help="Start from the published ImageNet weights.")
@click.option(
    "--weights",
    type=NamedPath(exists=True, path_type=Path),
    help="Start from this checkpoint or run; what fits is taken, at least half.",
)
@device_option
@click.option(
    "--log",
    type=Listed(click.STRING),
    help="Loggers to tell each epoch: tensorboard, mlflow, or both.",
)
@run_output_option
@json_option
def command(
    architecture: str,
    data: str | None,
    data_dir: Path | None,
    image_size: int | None,
    resize: Resize,
    val_fraction: float,
    test_fraction: float,
    dropout: float | None,
    form: Form | None,
    pretrained: bool,
    weights: Path | None,
    device: str,
    log: tuple[str, ...] | None,
    output: Path | None,
    recipe_name: str | None,
    as_json: bool,
    **recipe_flags: Any,
) -> None:
    """Train ARCHITECTURE. Without --data it learns the embedded digits."""
    from cnnreg.training.building import choose_device
    from cnnreg.training.distributed.launch import joined, run_of_first
    from cnnreg.training.start import try_out

    world = click.get_current_context().with_resource(joined(say))
    registry = get_registry()
    base = registry.architectures[architecture].recipe
    recipe = make_recipe(registry, base, recipe_name, recipe_flags, note=say)
    if data is None:
        say(f"no --data given: training on the embedded '{DEFAULT_DATA}' (8x8 handwritten digits)")
    if pretrained and weights:
        raise UsageError("--pretrained and --weights are two beginnings; choose one.")
    if (pretrained or weights) and not recipe_name and FINE_TUNING in registry.recipes:
        say(f"trained like a network that knows nothing; to fine-tune it: --recipe {FINE_TUNING}")
    choose_device(device, world)
    loggers = choose_loggers(registry, log or ())
    config = data_config(
        DEFAULT_DATA if data is None else data,
        registry,
        note=say,
        downloads=data_dir or DOWNLOADS,
        image_size=image_size,
        resize=resize,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
    )
    with DecodeProgress(console(stderr=True)) as decoding:
        planned, dataset = plan(
            registry,
            architecture,
            config,
            recipe,
            form=form,
            dropout=dropout,
            weights=PRETRAINED if pretrained else weights or "",
            progress=decoding.update,
        )
        note_data(dataset, places_before(registry, planned.weights, config))
    try:
        try_out(registry, planned, dataset, world)
    except PluginError as error:
        if form is None:
            raise
        raise UsageError(f"The {form} form does not fit: {error.what}") from error
    planned = replace(planned, loggers=loggers)
    run = run_of_first(create_run(planned, folder=output) if world.writes else None, world)
    follow(registry, run, dataset, device=device, world=world, as_json=as_json)


def choose_loggers(registry: Registry, names: Iterable[str]) -> tuple[str, ...]:
    """Raises UnknownNameError, or MissingExtraError if a logger lacks its package."""
    hook = registry.manager.hook.cnnreg_epoch_finished
    known = {found.plugin_name: found.plugin for found in hook.get_hookimpls()}
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            raise UnknownNameError("logger", name, known)
        need(known[name])
    return chosen
