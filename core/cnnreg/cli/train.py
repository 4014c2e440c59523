"""`cnnreg train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource

from cnnreg.data import Dataset, data_config
from cnnreg.engines import need
from cnnreg.errors import PluginError, StoppedError, UnknownNameError, UsageError
from cnnreg.files import typed
from cnnreg.planning import DEFAULT_DATA, DEFAULT_DOWNLOADS, make_recipe, plan
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, Run, create_run
from cnnreg.specs import Form, Resize
from cnnreg.texts import percent
from cnnreg.using import place_of

from .common import (
    NumberRange,
    console,
    folder_type,
    get_registry,
    human_count,
    human_time,
    json_option,
    print_json,
    say,
)
from .data_options import data_options, image_options
from .list import shape_text
from .progress import DecodeProgress, TrainingProgress
from .recipe_options import recipe_options

if TYPE_CHECKING:
    from cnnreg.training.distributed.world import World


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
@click.option("--form", type=click.Choice(get_args(Form)), help="Default: by image size.")
@click.option("--pretrained", is_flag=True, help="Start from the published ImageNet weights.")
@click.option(
    "--weights",
    type=NamedPath(exists=True, path_type=Path),
    help="Start from this checkpoint or run; what fits is taken, at least half.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--log", help="Loggers to tell each epoch: tensorboard, mlflow, or both.")
@click.option("--output", type=folder_type, help="The run's folder; default: a new one in runs/.")
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
    log: str | None,
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
    recipe = make_recipe(registry, base, recipe_name, recipe_flags)
    if data is None:
        say(f"no --data given: training on the embedded '{DEFAULT_DATA}' (8x8 handwritten digits)")
    if pretrained and weights:
        raise UsageError("--pretrained and --weights are two beginnings; choose one.")
    choose_device(device, world)
    loggers = choose_loggers(registry, log)
    config = data_config(
        data or DEFAULT_DATA,
        registry,
        downloads=data_dir or DEFAULT_DOWNLOADS,
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
        report_data(dataset)
    try:
        try_out(registry, planned, dataset, world)
    except PluginError as error:
        if form is None:
            raise
        raise UsageError(f"The {form} form does not fit: {error.what}") from error
    planned = replace(planned, loggers=loggers)
    run = run_of_first(create_run(planned, folder=output) if world.writes else None, world)
    follow(registry, run, dataset, device=device, world=world, as_json=as_json)


def choose_loggers(registry: Registry, text: str | None) -> tuple[str, ...]:
    """Raises UnknownNameError, or MissingExtraError if a logger lacks its package."""
    hook = registry.manager.hook.cnnreg_epoch_finished
    known = {found.plugin_name: found.plugin for found in hook.get_hookimpls()}
    names = dict.fromkeys(name.strip() for name in (text or "").split(",") if name.strip())
    for name in names:
        if name not in known:
            raise UnknownNameError("logger", name, known)
        need(known[name])
    return tuple(names)


def report_data(dataset: Dataset) -> None:
    """What a user should know of the images: shares asked for in vain, files skipped."""
    context = click.get_current_context()
    for name, option in (("val", "val_fraction"), ("test", "test_fraction")):
        asked = context.get_parameter_source(option) is ParameterSource.COMMANDLINE
        if asked and name in dataset.own_splits:
            flag = option.replace("_", "-")
            say(f"--{flag} is not used: the data come with a {name} split of their own")
    for name in ("train", "val", "test"):
        split = getattr(dataset, name)
        for error in split.skipped:
            say(f"skipped an unreadable {name} image: {error.where}: {error.what}")
        if split.note:
            say(split.note)


def follow(
    registry: Registry, run: Run, dataset: Dataset, *, device: str, world: World, as_json: bool
) -> None:
    """Train to the end, showing each step, and say what came of it."""
    from cnnreg.training.trainer import run_training

    out = console(stderr=True)
    _announce(out, registry, run, dataset)
    with TrainingProgress(out, run, len(dataset.train)) as bar:
        try:
            for record in run_training(
                registry, run, dataset, device=device, world=world, on_step=bar.step, note=say
            ):
                bar.epoch(record)
        except StoppedError as stop:
            start = "cnnreg" if world.size == 1 else "torchrun ... -m cnnreg"
            stop.hint = f"Go on with: {start} resume {typed(run.folder)}"
            raise
    if not world.writes:
        return
    result = run.result or {}
    if as_json:
        print_json({"run": run.folder, **result})
        return
    shown = console()
    shown.print(
        f"[green]✓[/] [bold]{run.config.contract.architecture}[/] on {run.config.data.label}: "
        f"test accuracy [bold]{percent(result['test_accuracy'])}[/], validation "
        f"{percent(result['val_accuracy'])} at epoch {result['best_epoch']} of "
        f"{result['epochs']}, {human_time(result['seconds'])}"
    )
    for label, text in (
        ("run", run.folder),
        ("curves", run.curves),
        ("more", f"cnnreg runs show {typed(run.folder)}"),
        ("next", f"cnnreg export {typed(run.folder)} --openvino"),
    ):
        shown.print(f"  {label:<6} {text}", markup=False, soft_wrap=True)


def _announce(out: Any, registry: Registry, run: Run, dataset: Dataset) -> None:
    from cnnreg.networks.weightless import built_weightless

    contract, recipe = run.config.contract, run.config.recipe
    spec = registry.architecture_of(contract)
    form = f", small form: {spec.small_form}" if contract.form == "small" else ""
    network = built_weightless(lambda: spec.build(contract.options()))
    count = human_count(sum(p.numel() for p in network.parameters()))
    out.print(f"[bold]{spec.name}[/] ({count} parameters){form}")
    out.print(
        f"{run.config.data.label}: {len(dataset.train)} training, {len(dataset.val)} validation, "
        f"{len(dataset.test)} test images of {shape_text(contract.input_shape)}, "
        f"{contract.num_classes} classes"
    )
    out.print(
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}), batch "
        f"{recipe.batch_size}, up to {recipe.epochs} epochs, patience {recipe.patience or 'none'}, "
        f"seed {recipe.seed}"
    )
