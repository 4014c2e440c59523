"""A training as a person sees it: what is trained on what, each epoch, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnnreg.data import Dataset
from cnnreg.data.listing import Places
from cnnreg.errors import CnnregError, StoppedError
from cnnreg.files import typed
from cnnreg.plugins import blaming
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.runs import Run
from cnnreg.runs.report import read_report
from cnnreg.texts import percent

from .common import console, human_count, human_time, print_json, say, shape_text
from .progress import TrainingProgress

if TYPE_CHECKING:
    from cnnreg.training.distributed.world import World


def note_data(dataset: Dataset, before: Places | None = None) -> None:
    """What a user should know of the images, and of shares that were asked for in vain.

    `before`: in which splits a run had them whose weights are trained on.
    """
    known = sum(name in before for _, _, name in dataset.listing()) if before else 0
    context = click.get_current_context()
    for name, option in (("val", "val_fraction"), ("test", "test_fraction")):
        asked = context.get_parameter_source(option) is ParameterSource.COMMANDLINE
        flag = option.replace("_", "-")
        if asked and name in dataset.own_splits:
            say(f"--{flag} is not used: the data come with a {name} split of their own")
    if known and len(dataset.own_splits) < 3:
        say(
            f"{known:,} images were in the weights' run, by their names: they stay in the splits "
            "they had there, and shares are of the others alone"
        )
    for remark in dataset.remarks():
        say(remark)


def follow(
    registry: Registry,
    run: Run,
    dataset: Dataset,
    *,
    device: str,
    world: World,
    as_json: bool,
    held: bool = False,
) -> None:
    """Train to the end, showing each step, and say what came of it.

    `held`: the run's folder is this process's alone already.
    """
    from cnnreg.training.building import choose_device, device_text
    from cnnreg.training.trainer import run_training

    out = console(stderr=True)
    place = device_text(choose_device(device, world))
    _announce(out, registry, run, dataset, place)
    with TrainingProgress(out, run, len(dataset.train)) as bar:
        try:
            for record in run_training(
                registry,
                run,
                dataset,
                device=device,
                world=world,
                held=held,
                on_step=bar.step,
                note=say,
            ):
                bar.epoch(record)
        except StoppedError as stop:
            start = "cnnreg" if world.size == 1 else "torchrun ... -m cnnreg"
            stop.hint = f"Go on with: {start} resume {typed(run.folder)}"
            raise
    if not world.writes:
        return
    result = run.result or {}
    remarks = [*_remarks(run, result)]
    if as_json:
        print_json({"run": run.folder, **result, "remarks": remarks})
        return
    shown = console()
    shown.print(
        f"[green]✓[/] [bold]{run.config.contract.architecture}[/] on {run.config.data.label}: "
        f"test accuracy [bold]{percent(result['test_accuracy'])}[/], validation "
        f"{percent(result['val_accuracy'])} at epoch {result['best_epoch']} of "
        f"{result['epochs']}, {human_time(result['seconds'])}"
    )
    for remark in remarks:
        shown.print(f"  {remark}", markup=False, soft_wrap=True)
    for label, text in (
        ("run", run.folder),
        ("curves", run.curves),
        ("more", f"cnnreg runs show {typed(run.folder)}"),
        ("next", f"cnnreg export {typed(run.folder)} --openvino"),
    ):
        shown.print(f"  {label:<6} {text}", markup=False, soft_wrap=True)


def _remarks(run: Run, result: dict[str, Any]) -> Iterator[str]:
    """What one should know of a training that has ended, beside its accuracy."""
    if result["stopped_early"]:
        recipe = run.config.recipe
        early = ", before its rate had come down" if recipe.comes_down else ""
        yield (
            f"stopped early: no better epoch in {recipe.patience}{early}; "
            "--patience 0 trains to the end"
        )
    with suppress(CnnregError):  # which could not be written, or read: that was said
        if always := read_report(run.report).as_good:
            yield (
                f"no better than always answering '{always}': the network has learned nothing; "
                "try another --lr, or more epochs"
            )


AUGMENTED = {
    "none": "images as they are",
    "crop": "images moved at random",
    "crop-flip": "images moved and mirrored at random",
}


def _augmented(dataset: Dataset, recipe: Recipe) -> str:
    return AUGMENTED[dataset.augment if recipe.augment == "auto" else recipe.augment]


def _announce(out: Any, registry: Registry, run: Run, dataset: Dataset, place: str) -> None:
    from cnnreg.networks.weightless import built_undrawn

    contract, recipe = run.config.contract, run.config.recipe
    spec = registry.architecture_of(contract)
    form = f", small form: {spec.small_form}" if contract.form == "small" else ""
    with blaming(f"Building '{spec.name}'"):
        network = built_undrawn(lambda: spec.build(contract.options()))
    count = human_count(sum(p.numel() for p in network.parameters()))
    out.print(f"[bold]{spec.name}[/] ({count} parameters){form}")
    out.print(
        f"{run.config.data.label}: {len(dataset.train)} training, {len(dataset.val)} validation, "
        f"{len(dataset.test)} test images of {shape_text(contract.input_shape)}, "
        f"{contract.num_classes} classes; {_augmented(dataset, recipe)}"
    )
    out.print(
        f"{recipe.optimizer}, learning rate {recipe.learning_rate:g} ({recipe.schedule}), batch "
        f"{recipe.batch_size}, up to {recipe.epochs} epochs, patience {recipe.patience or 'none'}, "
        f"seed {recipe.seed}, on {place}"
    )
