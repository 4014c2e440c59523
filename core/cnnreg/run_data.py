"""Which images belong to a run, or to a model that was made of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from .data import DataConfig, Dataset, data_config, expanded, open_dataset
from .data.config import SPLIT, same_data
from .data.decode import OnDecoded
from .data.listing import Places, compare_classes, kept
from .errors import CnnregError, DataError, PluginError, UnknownNameError, UsageError
from .files import typed
from .models import FINGERPRINT
from .planning import places_before
from .registry import Registry
from .runs import Run, open_run, run_around
from .specs import ModelFile
from .specs.data import DOWNLOADS

NAME_SOME = "Name a data set or a folder of class folders with --data."


def data_of_run(
    registry: Registry,
    run: Run,
    *,
    folder: Path | None = None,
    downloads: Path | None = None,
    progress: OnDecoded | None = None,
    changed: bool = False,
    otherwise: str = "train anew",
) -> Dataset:
    """The run's data, in the same splits and at the same size; `folder` if it has moved.

    Raises DataError if it is not the same; `otherwise` is what one can do then, besides
    mending it. `changed` allows that, but never other classes; images that were there
    before stay in their split, so that none that was trained on turns up in the test.
    A run without data of its own, an imported one, takes what `folder` names.
    """
    own, contract = run.config.data, run.config.contract
    downloads = downloads or own.downloads
    if own.name:
        if own.name not in registry.datasets:
            raise PluginError(
                f"The run's data set '{own.name}' is not installed.", where=run.folder
            )
        moved = _found(registry, run, folder) if folder else own.folder
        config = replace(own, folder=moved, downloads=downloads)
    elif folder is None:
        raise _nameless(run.folder)
    else:
        config = data_config(str(folder), registry, downloads=downloads, resize=contract.resize)
    try:
        dataset = _split_as_before(registry, run, config, progress)
    except DataError as error:
        if folder is None and own.folder and _is_gone(own.folder):
            error.hint = "Name where it lies now with --data."
        raise
    where = config.folder or f"{config.name} in {config.downloads}"
    again = f"cnnreg train {contract.architecture} --weights {typed(run.folder)}"
    data = config.folder or Path(config.name)
    hint = f"Train a model of these from its weights: {again} --data {typed(data)}"
    dataset = with_classes(dataset, contract.classes, where, hint=hint)
    if own.name and not changed and dataset.fingerprint != run.config.data_fingerprint:
        before = run.listed()
        is_other = folder and kept(before, dataset.listing()) < len(before) / 2
        raise DataError(
            f"The data has changed since this run was trained on it{run.difference(dataset)}.",
            where=where,
            hint=f"Is this another folder? Name where the run's own lies now, or {otherwise}."
            if is_other
            else f"Restore it, name where it lies now with --data or --data-dir, or {otherwise}.",
        )
    return dataset


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
    tells in which shares; whether that made the run's own splits, `is_another` tells.
    """
    run_folder = run_around(path)
    if data is None and run_folder is not None:
        return data_of_run(registry, open_run(run_folder), downloads=data_dir)
    config = named_data(registry, model, path, data, data_dir)
    run = None
    with suppress(CnnregError):  # whatever lies above the model, the data have been named
        run = open_run(run_folder) if run_folder is not None else None
    if run is None:
        config = _split_as_told(config, model.split)
    elif same_data(registry, run.config.data, config):
        own = run.config.data
        moved = data_dir or not own.downloads.is_dir()
        downloads = config.downloads if moved else own.downloads
        config = replace(own, folder=config.folder, downloads=downloads)
        return _split_as_before(registry, run, config)
    return open_dataset(registry, config, image_shape=model.contract.input_shape)


def _split_as_before(
    registry: Registry, run: Run, config: DataConfig, progress: OnDecoded | None = None
) -> Dataset:
    """The images in the splits in which the run had them, as it was planned.

    If that does not make the run's own splits, there are other images now: those that are still
    there stay where they were, by their names, of which only different ones tell that.
    """
    contract = run.config.contract

    def opened(before: Places) -> Dataset:
        return open_dataset(
            registry, config, image_shape=contract.input_shape, before=before, progress=progress
        )

    planned = opened(places_before(registry, run.config.weights, config))
    if not compare_classes(planned.classes, contract.classes):
        planned = planned.in_order(contract.classes)
    if planned.fingerprint == run.config.data_fingerprint:
        return planned
    places = run.places()  # none if it was killed before it wrote them
    return opened(places) if places else planned


def named_data(
    registry: Registry,
    model: ModelFile,
    path: Path,
    data: str | Path | None,
    data_dir: Path | None,
) -> DataConfig:
    """The data that were named, else those that the model says it is of, at its size."""
    name = model.contract.dataset if data is None else data
    if data is None and not name:
        raise _nameless(path)
    downloads = data_dir or DOWNLOADS
    try:
        return data_config(str(name), registry, downloads=downloads, resize=model.contract.resize)
    except UnknownNameError as error:
        if data is not None:
            raise
        raise UsageError(
            f"The model's own images, '{name}', are not known here by that name.",
            where=path,
            hint=NAME_SOME,
        ) from error


def is_another(model: ModelFile, dataset: Dataset) -> bool:
    """Whether these are not, as far as an export tells, its run's images in its run's splits."""
    return fingerprint_of(model) != dataset.fingerprint


def fingerprint_of(model: ModelFile) -> str | None:
    """Of the data of the run that an export was made of, where it tells."""
    return (model.split.get(FINGERPRINT) or None) if isinstance(model.split, dict) else None


def _found(registry: Registry, run: Run, folder: Path) -> Path:
    """Where the run's images are said to lie now. Raises UsageError if they cannot."""
    name = run.config.data.name
    if name in registry.datasets and registry.datasets[name].embedded:
        raise UsageError(
            f"The run is of '{name}', which comes with an installed package.",
            where=run.folder,
            hint="Leave --data away.",
        )
    whole = expanded(folder).absolute()
    if not whole.is_dir():
        raise DataError("There is no such folder.", where=whole)
    return whole


def with_classes(
    dataset: Dataset,
    classes: tuple[str, ...],
    where: Path | str | None = None,
    *,
    hint: str = "",
) -> Dataset:
    """The data with the model's order of classes, which imported weights may have of their own.

    Raises DataError if it has others.
    """
    if difference := compare_classes(dataset.classes, classes):
        raise DataError(
            f"The data has other classes than the model: {difference}.", where=where, hint=hint
        )
    return dataset.in_order(classes)


def _is_gone(folder: Path) -> bool:
    """Whether there is no folder in it: it was moved, or its disk is not there."""
    try:
        return not any(p.is_dir() for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return True


def _nameless(model: Path) -> UsageError:
    return UsageError(
        "This model was imported without data.",
        where=model,
        hint=NAME_SOME,
    )


def _split_as_told(config: DataConfig, told: Any) -> DataConfig:
    """With the shares and the seed of the run that an export was made of, where it says them."""
    try:
        return replace(config, **{name: told[name] for name in SPLIT})
    except (KeyError, TypeError, ValueError):  # of an older version, or another's hand
        return config
