"""`cnnreg resume`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cnnreg.data import DataConfig, Dataset, expanded
from cnnreg.errors import ModelFileError, UsageError
from cnnreg.files import sole_writer, typed
from cnnreg.recipe import Recipe, flag_of, label
from cnnreg.run_data import data_of_run
from cnnreg.runs import Run, find_run, open_run, read_metrics
from cnnreg.runs.overview import survey

from .common import console, folder_type, get_registry, json_option, say
from .following import follow, note_data
from .options import device_option, moved_data_options
from .progress import DecodeProgress
from .recipe_options import setting_options

UNFINISHED = ("stopped", "failed")
LENGTH = ("epochs", "patience")  # how long it goes on, not what a step does
CHANGEABLE = (*LENGTH, "batch_size", "accumulate", "learning_rate")


@click.command()
@click.argument("run", type=folder_type, required=False)
@setting_options(CHANGEABLE, default="the run's")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on with another batch size or rate, no longer as if never stopped.",
)
@device_option
@moved_data_options
@click.option(
    "--accept-data", is_flag=True, help="Go on although images were added, removed or changed."
)
@json_option
def command(
    run: Path | None,
    accept_changes: bool,
    device: str,
    data: Path | None,
    data_dir: Path | None,
    accept_data: bool,
    as_json: bool,
    **recipe_flags: Any,
) -> None:
    """Go on with RUN, or the newest that has not finished, exactly where it stopped.

    A finished run goes on with more --epochs: with them the newest run of all is meant.
    """
    from cnnreg.training.distributed.launch import joined, run_of_first

    world = click.get_current_context().with_resource(joined(say))
    registry = get_registry()
    longer = any(recipe_flags[name] is not None for name in LENGTH)
    opened = run_of_first(_held(_chosen(run, longer=longer)) if world.writes else None, world)
    registry.entry_of(opened.config.contract)
    _refuse_imported(opened)
    recipe = _changed_recipe(opened, recipe_flags, accepted=accept_changes)
    if world.writes:
        _refuse_finished(opened, recipe)
        _refuse_fewer(opened, recipe)
    with DecodeProgress(console(stderr=True)) as decoding:
        dataset = data_of_run(
            registry,
            opened,
            folder=data,
            downloads=data_dir,
            changed=accept_data,
            otherwise="say --accept-data to go on with it",
            progress=decoding.update,
        )
        note_data(dataset)
    if dataset.fingerprint != opened.config.data_fingerprint:
        say(f"the images have changed{opened.difference(dataset)}")
    if world.writes and opened.result is not None:
        say(f"the test images were measured after epoch {opened.result['epochs']} already")
    # What changes is written once all that refuses it has been asked.
    opened = opened.changed(
        recipe=recipe,
        data=_moved(opened.config.data, dataset, data_dir),
        data_fingerprint=dataset.fingerprint,
    )
    follow(registry, opened, dataset, device=device, world=world, as_json=as_json, held=True)


def _moved(data: DataConfig, dataset: Dataset, data_dir: Path | None) -> DataConfig:
    """With where it lies now, for what comes after."""
    downloads = expanded(data_dir).absolute() if data_dir else data.downloads
    return replace(data, folder=dataset.folder, downloads=downloads)


def _chosen(named: Path | None, *, longer: bool) -> Run:
    """The run to go on with; where none is named, it is said which."""
    if named is not None:
        return find_run(named)
    trained = [run for run in survey() if run.planned_epochs]  # 0: imported, or damaged
    unfinished = [run for run in trained if run.state in UNFINISHED]
    candidates = (not longer and unfinished) or trained
    if not candidates:
        return find_run()
    say(f"no run was named: taking {candidates[0].folder}")
    return open_run(candidates[0].folder)


def _held(run: Run) -> Run:
    """The run as it is on the disk now that it is this process's alone, to the command's end."""
    click.get_current_context().with_resource(sole_writer(run.folder))
    return open_run(run.folder)


def _changed_recipe(run: Run, flags: dict[str, Any], *, accepted: bool) -> Recipe:
    """The run's recipe with what was asked for. Raises UsageError if that must be accepted."""
    old = run.config.recipe
    try:
        given = {name: value for name, value in flags.items() if value is not None}
        new = replace(old, **given).with_patience()
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    for name in CHANGEABLE:
        was, wanted = getattr(old, name), getattr(new, name)
        if was != wanted and name not in LENGTH and not accepted:
            raise UsageError(
                f"This run is trained with {label(name)} {was}; with {wanted} it would not go on "
                "as if it had never stopped.",
                where=run.folder,
                hint="Say --accept-changes too, to go on all the same.",
            )
    return new


def _refuse_imported(run: Run) -> None:
    if run.config.imported:
        name = run.config.contract.architecture
        raise UsageError(
            "An imported run holds weights alone, no state of a training to go on from.",
            where=run.folder,
            hint=f"Train from them: cnnreg train {name} --weights {typed(run.folder)}",
        )


def _refuse_fewer(run: Run, recipe: Recipe) -> None:
    """Raises UsageError if the run would end before where it is."""
    if run.result is not None or recipe.epochs >= run.config.recipe.epochs:
        return
    try:
        done = len(read_metrics(run.folder))
    except ModelFileError:  # going on writes them anew, from the checkpoint
        return
    if recipe.epochs < done:
        raise UsageError(
            f"{done} epochs are done already; {recipe.epochs} would end the run before that.",
            where=run.folder,
            hint=f"Say {flag_of('epochs')} {done} or more.",
        )


def _refuse_finished(run: Run, recipe: Recipe) -> None:
    """Raises UsageError if there is nothing left to train."""
    from cnnreg.training.saving.checkpoint import is_lost

    result = run.result
    if result is None:
        return
    # Stopped between the result and its pictures, or robbed of its weights.
    if not run.report.exists() or is_lost(run.best):
        return
    waited = result["epochs"] - max(result["best_epoch"], recipe.freeze)
    if result["epochs"] >= recipe.epochs:
        longer = f"{flag_of('epochs')} {max(recipe.epochs, result['epochs']) + 10}"
    elif recipe.patience and waited >= recipe.patience:
        longer = f"{flag_of('patience')} {2 * waited}"
    else:
        return
    raise UsageError(
        f"This run has finished, after {result['epochs']} epochs.",
        where=run.folder,
        hint=f"Train it longer with {longer}, or use it: "
        f"cnnreg export {typed(run.folder)} --openvino",
    )
