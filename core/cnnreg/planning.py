"""From what a user asks for to a run that can be trained: data opened, contract fixed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .data import DataConfig, Dataset, open_dataset
from .data.config import same_data
from .data.dataset import Moments
from .data.decode import OnDecoded
from .data.listing import Places, compare_classes
from .errors import CnnregError, PluginError, UsageError
from .images import MODES
from .machine.environment import environment
from .recipe import Recipe, label, read_recipe, recipe_from_data
from .registry import Entry, Registry
from .runs import PRETRAINED, RunConfig, now, open_run, run_around
from .runs.weights import weights_contract
from .specs import ArchitectureSpec, Form, ModelContract, ModelOptions, Resize

DEFAULT_DATA = "digits"
TUNED = ("learning_rate", "momentum", "weight_decay")
"""A recipe's fields that mean something else with another optimizer."""


def plan(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    recipe: Recipe,
    *,
    progress: OnDecoded | None = None,
    **wishes: Any,
) -> tuple[RunConfig, Dataset]:
    """Open the data and fix everything that decides the model; `wishes` are those of `fix`.

    Images that the `weights` were trained on are trained on again, not held out; they are grey
    or of colour, and their classes in the order, that the weights are for.
    """
    weights = wishes.get("weights", "")
    spec, made_with = registry.architectures[architecture], _made_with(weights)
    channels = made_with.input_shape[0] if made_with else None
    if weights == PRETRAINED and spec.pretrained:
        channels = len(spec.pretrained_mean)
    if channels not in MODES:
        channels = None
    dataset = open_for(
        registry,
        architecture,
        data,
        channels=channels,
        before=places_before(registry, weights, data),
        progress=progress,
    )
    if made_with and not compare_classes(dataset.classes, made_with.classes):
        dataset = dataset.in_order(made_with.classes)
    return fix(registry, architecture, data, dataset, recipe, **wishes), dataset


def _made_with(weights: Path | str) -> ModelContract | None:
    """Of a run or a checkpoint to start from; None where there is none, or it does not say."""
    return None if weights in ("", PRETRAINED) else weights_contract(Path(weights))


def open_for(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    *,
    channels: int | None = None,
    before: Places | None = None,
    progress: OnDecoded | None = None,
) -> Dataset:
    """The data at a size that the network takes; grey or colour, whatever `channels` wants."""
    spec = registry.architectures[architecture]
    return open_dataset(
        registry,
        data,
        fallback_size=spec.input_shape,
        min_size=spec.min_size,
        channels=channels,
        before=before,
        progress=progress,
    )


def places_before(registry: Registry, weights: Path | str, data: DataConfig) -> Places:
    """The splits of the images in the run that `weights` lie in, if `data` are of its kind."""
    folder = run_around(Path(weights)) if weights not in ("", PRETRAINED) else None
    with suppress(CnnregError):  # of a damaged one the weights alone are taken
        if folder and same_data(registry, (run := open_run(folder)).config.data, data):
            return run.places()
    return {}


def fix(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    dataset: Dataset,
    recipe: Recipe,
    *,
    form: Form | None = None,
    dropout: float | None = None,
    weights: Path | str = "",
) -> RunConfig:
    """Everything that decides the model, for data that are open already. Nothing is written.

    The network's form follows from the image size unless `form` is given. `weights`
    is "pretrained" or the path of a file to start from; empty starts from random ones.
    """
    entry = registry.architectures.entry(architecture)
    spec = entry.spec
    if weights == PRETRAINED and spec.pretrained is None:
        raise UsageError(
            f"'{spec.name}' comes without pretrained weights.",
            hint="Name a file of yours with --weights.",
        )
    try:
        options = spec.options(
            num_classes=len(dataset.classes),
            input_shape=dataset.image_shape,
            form=form,
            dropout=dropout,
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}.") from error
    contract = contract_of(
        entry,
        options,
        classes=dataset.classes,
        moments=_scale(spec, dataset, weights),
        resize=data.resize,
        dataset=dataset.name,
    )
    registry.entry_of(contract)  # what could not be opened again is not begun
    return RunConfig(
        contract=contract,
        recipe=recipe.with_patience(),
        data=replace(data, image_size=dataset.image_shape[1]),
        data_fingerprint=dataset.fingerprint,
        environment=environment(),
        created=now(),
        weights=str(weights if weights in ("", PRETRAINED) else Path(weights).absolute()),
    )


def contract_of(
    entry: Entry[ArchitectureSpec],
    options: ModelOptions,
    *,
    classes: tuple[str, ...],
    moments: Moments,
    resize: Resize,
    dataset: str,
) -> ModelContract:
    """Of a network built with these options. Raises ValueError for what makes no sense."""
    mean, std = moments
    return ModelContract(
        architecture=entry.spec.name,
        plugin=entry.plugin.package,
        num_classes=options.num_classes,
        input_shape=options.input_shape,
        form=options.form,
        dropout=options.dropout,
        classes=classes,
        mean=mean,
        std=std,
        resize=resize,
        dataset=dataset,
    )


def _scale(spec: ArchitectureSpec, dataset: Dataset, weights: Path | str) -> Moments:
    """The data's own mean and deviation, but those that weights to start from were made with."""
    moments: Moments | None = None
    if weights == PRETRAINED:
        moments = spec.pretrained_mean, spec.pretrained_std
    elif made_with := _made_with(weights):
        moments = made_with.mean, made_with.std
    if moments is None or len(moments[0]) != dataset.image_shape[0]:
        return dataset.mean, dataset.std
    return moments


def make_recipe(
    registry: Registry,
    base: Recipe,
    name: str | None,
    flags: dict[str, Any],
    *,
    note: Callable[[str], None] = lambda text: None,
) -> Recipe:
    """The architecture's recipe, changed by a named one, and then by the flags that were given.

    With another optimizer than that of either, what it was TUNED to is not taken: `note` says
    so. Raises UsageError, or PluginError if the named one is of a plugin and cannot be read.
    """
    named = _named_recipe(registry, name, base)
    tuned = _with_flags(named, flags)
    optimizer, own = tuned.optimizer, (base.optimizer, named.optimizer)
    usual = _usual(registry, base, optimizer)
    usual = _usual(registry, _named_recipe(registry, name, usual), optimizer)
    recipe = _with_flags(usual, flags)
    dropped = [
        f"{label(field)} {getattr(recipe, field):g}, not {getattr(tuned, field):g}"
        for field in TUNED
        if getattr(recipe, field) != getattr(tuned, field)
    ]
    if dropped:
        others = " and ".join(dict.fromkeys(other for other in own if other != optimizer))
        note(f"the recipe is for {others}; with {optimizer} {', '.join(dropped)}, unless given")
    return recipe.with_patience()


def _usual(registry: Registry, recipe: Recipe, optimizer: str) -> Recipe:
    """With that optimizer, and what is usual with it if the recipe is for another one."""
    rate = float(registry.optimizers[optimizer].learning_rate)
    if recipe.optimizer == optimizer:
        return recipe
    usual = replace(Recipe(), learning_rate=rate)
    fields = {field: getattr(usual, field) for field in TUNED}
    return replace(recipe, optimizer=optimizer, **fields)


def _with_flags(recipe: Recipe, flags: dict[str, Any]) -> Recipe:
    try:
        given = {key: value for key, value in flags.items() if value is not None}
        return recipe_from_data(given, recipe)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}.") from error


def _named_recipe(registry: Registry, name: str | None, base: Recipe) -> Recipe:
    if name is None:
        return base
    path = Path(name)
    if name not in registry.recipes and path.is_file():
        return read_recipe(path, base)
    if name not in registry.recipes and path.suffix == ".toml":
        raise UsageError("There is no such recipe file.", where=path.absolute())
    entry = registry.recipes.entry(name)
    try:
        return read_recipe(entry.spec.path, base)
    except UsageError as error:
        what = f"Recipe '{name}' of plugin {entry.origin}: {error.what}"
        raise PluginError(what, where=error.where) from error
