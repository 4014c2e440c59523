"""`cnnreg compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cnnreg.comparing.folder import (
    DATABASE,
    is_elsewhere,
    keep_study_name,
    study_name,
    with_relative_runs,
)
from cnnreg.comparing.liveness import HEARTBEAT, MISSED
from cnnreg.comparing.plan import SWEPT
from cnnreg.data import data_config
from cnnreg.errors import UsageError
from cnnreg.files import typed
from cnnreg.planning import DEFAULT_DATA, make_recipe
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.specs import Resize
from cnnreg.specs.data import DOWNLOADS

from .common import (
    NumberRange,
    console,
    folder_type,
    get_registry,
    json_option,
    say,
)
from .compare_tables import tell
from .compare_worker import Worker
from .options import Listed, data_dir_option, device_option, image_options
from .progress import DecodeProgress
from .recipe_options import recipe_options

if TYPE_CHECKING:
    from cnnreg.comparing.plan import Plan

DEFAULT_ROOT = Path("comparisons")
WITH_RESUME = ("resume", "device", "data_dir", "storage", "heartbeat", "as_json")
CLASSICS = "adam,adagrad,rmsprop,sgd,momentum"


@click.command()
@click.argument("architectures", nargs=-1)
@click.option(
    "--data",
    type=Listed(click.STRING),
    default=DEFAULT_DATA,
    show_default=True,
    help="Data sets of `cnnreg list --kind datasets`, or folders of class folders, with commas.",
)
@data_dir_option
@click.option(
    "--optimizers",
    type=Listed(click.STRING),
    default=CLASSICS,
    show_default=True,
    help="Names, with commas.",
)
@click.option(
    "--lrs",
    type=Listed(NumberRange()),
    help="Learning rates, with commas; default: the recipe's of each network, with the recipe's "
    "optimizer; the usual one of each other optimizer.",
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many.")
@image_options
@recipe_options(SWEPT)
@device_option
@click.option("--output", type=folder_type, help="Default: comparisons/ and the contestants.")
@click.option("--resume", type=folder_type, help="Go on with the comparison in this folder.")
@click.option(
    "--storage",
    envvar="CNNREG_STORAGE",
    show_envvar=True,
    help="postgresql://USER:PASSWORD@HOST/DATABASE, to share the work with other machines.",
)
@click.option(
    "--heartbeat",
    type=click.IntRange(1, 3600),
    help=f"Seconds between signs of life, of all its workers, settled by the first (default: "
    f"{HEARTBEAT}); one that leaves out {MISSED} is taken for dead.",
)
@json_option
def command(
    architectures: tuple[str, ...],
    data: tuple[str, ...],
    data_dir: Path | None,
    optimizers: tuple[str, ...],
    lrs: tuple[float, ...] | None,
    seeds: int,
    image_size: int | None,
    resize: Resize,
    val_fraction: float,
    test_fraction: float,
    device: str,
    output: Path | None,
    resume: Path | None,
    storage: str | None,
    heartbeat: int | None,
    recipe_name: str | None,
    as_json: bool,
    **recipe_flags: Any,
) -> None:
    """Train every combination of ARCHITECTURES and the options with commas, and compare them.

    The same command again goes on where it was stopped, and new contestants join in.
    With --storage any number of machines that run it share the work.
    """
    from cnnreg.comparing.database import Database
    from cnnreg.comparing.study import Study
    from cnnreg.comparing.work import DataSets, describe_plan
    from cnnreg.training.building import choose_device

    registry = get_registry()
    choose_device(device)
    planned = None
    if resume is None:
        planned = make_plan(
            registry,
            architectures,
            data,
            optimizers,
            lrs or (),
            seeds,
            recipe_name,
            recipe_flags,
            {
                "downloads": data_dir or DOWNLOADS,
                "image_size": image_size,
                "resize": resize,
                "val_fraction": val_fraction,
                "test_fraction": test_fraction,
            },
        )
    else:
        _refuse_other_options()
        _refuse_other_folders(resume, storage)
    folder = resume or output or DEFAULT_ROOT / (planned.name if planned else "")
    storage = _storage_of(folder, storage)
    name = study_name(folder)
    with DecodeProgress(console(stderr=True)) as decoding:
        data_sets = DataSets(registry, decoding.update)
        entries = describe_plan(registry, planned, data_sets) if planned else {}
    database = Database(storage, folder)
    study = Study(database, name, heartbeat=heartbeat)
    if heartbeat not in (None, study.heartbeat):
        say(f"the workers of this comparison give a sign of life every {study.heartbeat} s")
    try:
        study.join(entries, planned.trials() if planned else [])
        keep_study_name(folder, name, elsewhere=storage is not None)
        worker = Worker(registry, study, data_sets, folder, device, planned, data_dir)
        again = f"cnnreg compare --resume {typed(folder)}"
        worker.work(f"{again} and the --storage" if storage else again, shared=database.shared)
        results = with_relative_runs(study.results(), folder)
    finally:
        study.close()
    tell(folder, name, results, study.failures, as_json=as_json)


def _storage_of(folder: Path, named: str | None) -> str | None:
    """Where the study of the comparison in `folder` is: None for the folder itself.

    A variable that is set for other comparisons leaves one that was begun there alone.
    """
    source = click.get_current_context().get_parameter_source("storage")
    own = (folder / DATABASE).is_file()
    if own and source is ParameterSource.COMMANDLINE:
        raise UsageError(
            "The study of this comparison is in the folder itself.",
            where=folder,
            hint="Leave --storage away; to share the work, begin with another --output.",
        )
    if named is None and is_elsewhere(folder):
        raise UsageError(
            "The study of this comparison is in a database elsewhere.",
            where=folder,
            hint="Name it: --storage postgresql://...",
        )
    return None if own else named


def _refuse_other_folders(folder: Path, storage: str | None) -> None:
    """Raises UsageError if there is no comparison to go on with."""
    held = storage or is_elsewhere(folder) or (folder / DATABASE).is_file()
    if not (folder.is_dir() and held):
        raise UsageError(
            "There is no comparison in this folder.",
            where=folder,
            hint="If its study is in a database, name it: --storage postgresql://...",
        )


def _refuse_other_options() -> None:
    """Raises UsageError for what would be ignored: --resume goes on with what the folder holds."""
    context = click.get_current_context()
    given = [
        "networks" if isinstance(parameter, click.Argument) else parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in WITH_RESUME
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            f"--resume goes on with what a folder holds: no {', no '.join(given)}.",
            hint="To extend a comparison, give the whole command with its --output.",
        )


def make_plan(
    registry: Registry,
    architectures: tuple[str, ...],
    data: tuple[str, ...],
    optimizers: tuple[str, ...],
    rates: tuple[float, ...],
    seeds: int,
    recipe_name: str | None,
    recipe_flags: dict[str, Any],
    settings: dict[str, Any],
) -> Plan:
    """Everything checked before the first training. Raises UsageError."""
    from cnnreg.comparing.plan import Plan, by_label

    if not architectures:
        raise UsageError("Name a network.", hint="cnnreg compare simple_cnn, or --resume FOLDER")
    recipes: dict[str, dict[str, Recipe]] = {}
    notes: dict[str, None] = {}  # each once, for however many optimizers
    given = {**recipe_flags, "learning_rate": rates[0] if rates else None}
    for name in architectures:
        own = registry.architectures[name].recipe
        recipes[name] = {
            # Not measured: all contestants compute alike, on every machine that joins in.
            optimizer: make_recipe(
                registry,
                own,
                recipe_name,
                {**given, "optimizer": optimizer},
                note=lambda text, name=name: notes.setdefault(f"{name}: {text}"),  # type: ignore[misc]
            ).plain()
            for optimizer in optimizers
        }
    for text in notes:
        say(text)
    plan = Plan(
        recipes=recipes,
        data=by_label([data_config(text, registry, note=say, **settings) for text in data]),
        learning_rates=tuple(dict.fromkeys(rates)),
        seeds=seeds,
    )
    for trial in plan.trials():
        try:
            trial.recipe(recipes[trial.architecture][trial.optimizer])
        except ValueError as error:
            raise UsageError(f"{error}.") from error
    return plan
