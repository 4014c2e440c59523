"""From what a user asks for to a run that can be trained: data opened, contract fixed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .data import DataConfig, Dataset, data_config, open_dataset
from .data.config import SPLIT, dataset_of
from .data.dataset import Moments
from .data.decode import Progress
from .errors import CnnregError, PluginError, UsageError
from .machine.environment import environment
from .recipe import Recipe, read_recipe, recipe_from_data
from .registry import Entry, Registry
from .runs import PRETRAINED, RunConfig, now, open_run, run_around
from .specs import ArchitectureSpec, Form, ModelContract, ModelFile, ModelOptions, Resize

DEFAULT_DATA = "digits"
DEFAULT_DOWNLOADS = Path("data")


def plan(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    **wishes: Any,
) -> tuple[RunConfig, Dataset]:
    """Open the data and fix everything that decides the model; `wishes` are those of `fix`."""
    dataset = open_for(registry, architecture, data, progress=progress)
    return fix(registry, architecture, data, dataset, recipe, **wishes), dataset


def open_for(
    registry: Registry,
    architecture: str,
    data: DataConfig,
    *,
    channels: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data at a size that the network takes; grey or colour, whatever `channels` wants."""
    spec = registry.architectures[architecture]
    return open_dataset(
        registry,
        data,
        fallback_size=spec.input_shape,
        min_size=spec.min_size,
        channels=channels,
        progress=progress,
    )


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
        moments=_scale(spec, dataset, pretrained=weights == PRETRAINED),
        resize=data.resize,
        dataset=dataset.name,
    )
    registry.entry_of(contract)  # what could not be opened again is not begun
    return RunConfig(
        contract=contract,
        recipe=recipe,
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


def _scale(spec: ArchitectureSpec, dataset: Dataset, *, pretrained: bool) -> Moments:
    """The data's own mean and deviation, but those that published weights were made with."""
    if pretrained and len(spec.pretrained_mean) == dataset.image_shape[0]:
        return spec.pretrained_mean, spec.pretrained_std
    return dataset.mean, dataset.std


def make_recipe(
    registry: Registry, base: Recipe, name: str | None, flags: dict[str, Any]
) -> Recipe:
    """The architecture's recipe, changed by a named one, and then by the flags that were given.

    Raises UsageError, or PluginError if the named one is of a plugin and cannot be read.
    """
    if name is not None:
        base = _named_recipe(registry, name, base)
    try:
        given = {key: value for key, value in flags.items() if value is not None}
        recipe = recipe_from_data(given, base)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{error}.") from error
    registry.optimizers.entry(recipe.optimizer)
    return recipe


def _named_recipe(registry: Registry, name: str, base: Recipe) -> Recipe:
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


def data_for_model(
    registry: Registry,
    model: ModelFile,
    path: Path,
    data: str | Path | None,
    data_dir: Path | None,
) -> Dataset:
    """The data that was named, else the data of the run that the model belongs to.

    Data of the run's kind are split as the run split its own, which may lie elsewhere now:
    else the model would be tested on what it was trained on. They are known by name alone: a
    copy whose images were made smaller has other sizes. An export away from its run still
    tells in which shares.
    """
    run_folder = run_around(path)
    if data is None and run_folder is not None:
        return open_run(run_folder).open_data(registry, downloads=data_dir)
    contract = model.contract
    if not (data or contract.dataset):
        raise UsageError(
            "This model was imported without data.",
            where=path,
            hint="Name a data set or a folder of class folders with --data.",
        )
    config = data_config(
        str(data or contract.dataset),
        registry,
        downloads=data_dir or DEFAULT_DOWNLOADS,
        resize=contract.resize,
    )
    run = before = None
    with suppress(CnnregError):  # whatever lies above the model, the data have been named
        run = open_run(run_folder) if run_folder is not None else None
    if run is None:
        config = _split_as_told(config, model.split)
    elif _same_data(registry, run.config.data, config):
        own, before = run.config.data, run.places()
        moved = data_dir or not own.downloads.is_dir()
        downloads = config.downloads if moved else own.downloads
        config = replace(own, folder=config.folder, downloads=downloads)
    return open_dataset(registry, config, image_shape=contract.input_shape, before=before)


def _same_data(registry: Registry, one: DataConfig, other: DataConfig) -> bool:
    """Whether both are read by the same data set, however it is spelt."""
    known = one.name in registry.datasets and other.name in registry.datasets
    return known and dataset_of(registry, one.name) is dataset_of(registry, other.name)


def _split_as_told(config: DataConfig, told: Any) -> DataConfig:
    """With the shares and the seed of the run that an export was made of, where it says them."""
    try:
        return replace(config, **{name: told[name] for name in SPLIT})
    except (KeyError, TypeError, ValueError):  # of an older version, or another's hand
        return config
