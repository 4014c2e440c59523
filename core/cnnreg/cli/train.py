"""`cnnreg train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from cnnreg.data import Dataset, data_config
from cnnreg.errors import PluginError, StoppedError, UsageError
from cnnreg.planning import plan
from cnnreg.registry import Registry
from cnnreg.runs import DEFAULT_ROOT, Run, create_run
from cnnreg.specs import Form, Recipe, Resize

from .common import (
    console,
    folder_type,
    get_registry,
    human_count,
    human_time,
    json_option,
    percent,
    print_json,
    say,
)
from .data_options import DEFAULT_DOWNLOADS, data_options
from .list import shape_text
from .progress import DecodeProgress, TrainingProgress

DEFAULT_DATA = "digits"

# Flags that set a recipe's field; a flag left out keeps the architecture's own recipe.
RECIPE_FLAGS = (
    click.option("--epochs", type=int, help="Default: 20."),
    click.option("--batch-size", type=int, help="Default: 64."),
    click.option("--optimizer", help="Default: adam. `cnnreg list --kind optimizers`"),
    click.option(
        "--lr", "learning_rate", type=float, help="Learning rate; default: 0.001, plain VGG 0.0003."
    ),
    click.option("--momentum", type=float, help="For optimizers that have one; default: 0.9."),
    click.option("--weight-decay", type=float, help="Default: 0."),
    click.option("--schedule", help="constant (default), cosine, one-cycle."),
    click.option("--warmup", type=float, help="Epochs of linear warm-up; default: 0."),
    click.option("--label-smoothing", type=float, help="Default: 0."),
    click.option("--augment", help="auto (default: the data set's own), none, crop, crop-flip."),
    click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Default: fp32."),
    click.option("--seed", type=int, help="Default: 0."),
    click.option("--patience", type=int, help="Epochs without gain before stopping; default: 5."),
)


def recipe_options(function: Any) -> Any:
    for option in reversed(RECIPE_FLAGS):
        function = option(function)
    return function


@click.command()
@click.argument("architecture")
@data_options
@click.option("--image-size", type=click.IntRange(8, 4096), help="Height and width.")
@click.option(
    "--resize",
    type=click.Choice(get_args(Resize)),
    default="squash",
    show_default=True,
    help="How images of another shape are made to fit.",
)
@recipe_options
@click.option("--dropout", type=click.FloatRange(0, 0.99), help="Default: the paper's own.")
@click.option("--form", type=click.Choice(get_args(Form)), help="Default: by image size.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--output", type=folder_type, help="The run's folder; default: a new one in runs/.")
@json_option
def command(
    architecture: str,
    data: str | None,
    data_dir: Path | None,
    image_size: int | None,
    resize: Resize,
    dropout: float | None,
    form: Form | None,
    device: str,
    output: Path | None,
    as_json: bool,
    **recipe_flags: Any,
) -> None:
    """Train ARCHITECTURE. Without --data it learns the embedded digits."""
    from cnnreg.training.trainer import build_model, choose_device

    registry = get_registry()
    spec = registry.architectures[architecture]
    recipe = make_recipe(registry, spec.recipe, recipe_flags)
    if data is None:
        say(f"no --data given: training on the embedded '{DEFAULT_DATA}' (8x8 handwritten digits)")
    choose_device(device)
    config = data_config(data or DEFAULT_DATA, registry, downloads=data_dir or DEFAULT_DOWNLOADS)
    config = replace(config, image_size=image_size, resize=resize)
    with DecodeProgress(console(stderr=True)) as decoding:
        planned, dataset = plan(
            registry,
            architecture,
            config,
            recipe,
            form=form,
            dropout=dropout,
            progress=decoding.update,
        )
    report_skipped(dataset)
    try:
        build_model(spec, planned.contract.options())
    except PluginError as error:
        if form is None:
            raise
        raise UsageError(f"The {form} form does not fit: {error.what}") from error
    run = create_run(planned, folder=output)
    follow(registry, run, dataset, device=device, as_json=as_json)


def make_recipe(registry: Registry, base: Recipe, flags: dict[str, Any]) -> Recipe:
    """The architecture's recipe with the flags that were given. Raises UsageError."""
    from cnnreg.training.augment import augmentation
    from cnnreg.training.schedule import check_schedule

    try:
        recipe = replace(base, **{key: value for key, value in flags.items() if value is not None})
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    registry.optimizers.entry(recipe.optimizer)
    check_schedule(recipe.schedule)
    if recipe.augment != "auto":
        augmentation(recipe.augment)
    return recipe


def report_skipped(dataset: Dataset) -> None:
    for name in ("train", "val", "test"):
        for error in getattr(dataset, name).skipped:
            say(f"skipped an unreadable {name} image: {error.where}: {error.what}")


def follow(registry: Registry, run: Run, dataset: Dataset, *, device: str, as_json: bool) -> None:
    """Train to the end, showing each step, and say what came of it."""
    from cnnreg.training.trainer import run_training

    out = console(stderr=True)
    _announce(out, registry, run, dataset)
    with TrainingProgress(out, run, len(dataset.train)) as bar:
        try:
            for record in run_training(
                registry, run, dataset, device=device, on_step=bar.step, note=say
            ):
                bar.epoch(record)
        except StoppedError as stop:
            stop.hint = f"Go on with: cnnreg {about('resume', run)}"
            raise
    result = run.result or {}
    if as_json:
        print_json({"run": run.folder, **result})
        return
    shown = console()
    shown.print(
        f"[green]✓[/] [bold]{run.config.contract.architecture}[/] on {dataset.name}: "
        f"test accuracy [bold]{percent(result['test_accuracy'])}[/], validation "
        f"{percent(result['val_accuracy'])} at epoch {result['best_epoch']} of "
        f"{result['epochs']}, {human_time(result['seconds'])}"
    )
    for label, text in (
        ("run", run.folder),
        ("curves", run.curves),
        ("next", f"cnnreg {about('export', run)} --openvino"),
    ):
        shown.print(f"  {label:<6} {text}", markup=False, soft_wrap=True)


def about(command: str, run: Run) -> str:
    """The command for this run, its folder left out where it is the newest one anyway."""
    newest = run.folder.parent == DEFAULT_ROOT
    return command if newest else f"{command} {run.folder}"


def _announce(out: Any, registry: Registry, run: Run, dataset: Dataset) -> None:
    contract, recipe = run.config.contract, run.config.recipe
    spec = registry.architecture_of(contract)
    form = f", small form: {spec.small_form}" if contract.form == "small" else ""
    out.print(
        f"[bold]{spec.name}[/] ({human_count(spec.parameters)} parameters as published){form}"
    )
    out.print(
        f"{dataset.name}: {len(dataset.train)} training, {len(dataset.val)} validation, "
        f"{len(dataset.test)} test images of {shape_text(contract.input_shape)}, "
        f"{contract.num_classes} classes"
    )
    out.print(
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}), batch "
        f"{recipe.batch_size}, up to {recipe.epochs} epochs, patience {recipe.patience or 'none'}, "
        f"{recipe.precision}, seed {recipe.seed}"
    )
