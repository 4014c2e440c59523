"""From a file's tensors to a run: the network they fit, and what must travel with it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from torch import nn

from cnnreg.data import DataConfig, Dataset
from cnnreg.errors import CnnregError, DataError, ModelFileError, PluginError, UsageError
from cnnreg.machine.environment import environment
from cnnreg.registry import Entry, Registry
from cnnreg.runs import Run, RunConfig, now
from cnnreg.specs import (
    IMAGENET_MOMENTS,
    ArchitectureSpec,
    Form,
    ModelContract,
    Resize,
    Shape,
    to_data,
)
from cnnreg.training.building import build_model
from cnnreg.training.checkpoint import Checkpoint, is_finite, save_checkpoint
from cnnreg.training.start import LEAST
from cnnreg.training.state import seed_streams
from cnnreg.training.summary import write_summary

from .fitting import Fit, best_fit, listed, resembles
from .reading import Weights, printable

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was said of the weights; None: to be found in the file, or in the data."""

    classes: tuple[str, ...] | None = None
    form: Form | None = None
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: Resize = "squash"
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """A network with a file's weights, and the run it is to become."""

    config: RunConfig
    model: nn.Module
    fit: Fit


def plan_import(
    registry: Registry,
    architecture: str,
    weights: Weights,
    wishes: Wishes,
    *,
    data: tuple[DataConfig, Dataset] | None = None,
    note: Note = lambda text: None,
) -> Import:
    """Nothing is written. Raises ModelFileError if the weights do not fit the network."""
    entry = registry.architectures.entry(architecture)
    spec, dataset = entry.spec, data[1] if data else None
    classes = _agreed(wishes.classes, dataset)
    shape, channels = _shape(spec, wishes, dataset)
    fit = best_fit(
        spec,
        weights.tensors,
        shape=shape,
        channels=channels,
        num_classes=len(classes) if classes else None,
        form=wishes.form,
    )
    if not wishes.partial and not fit.whole:
        raise _misfit(registry, spec, weights, fit)
    if classes is None and fit.classes is None:
        raise ModelFileError(
            "The file holds no classifier layer, so the number of classes is not known.",
            where=weights.file,
            hint="Name them with --classes or --data.",
        )
    model = _built(spec, fit, wishes.form, note)
    _take(model, fit, spec, weights)
    if classes is None:
        classes = tuple(f"class{number}" for number in range(fit.options.num_classes))
        note("the file does not name its classes: --classes FILE, or imagenet, does")
    if not fit.whole:
        note("what the file lacks is untrained: the run means nothing before a training")
    if fit.idle:
        note(f"untrained, but needed for training alone: {listed(fit.idle)}")
    contract = _contract(entry, fit, wishes, classes, dataset)
    if wishes.mean is None and wishes.std is None:
        mean, std = (", ".join(f"{x:.3g}" for x in of) for of in (contract.mean, contract.std))
        usual = (spec.pretrained_mean, spec.pretrained_std) == IMAGENET_MOMENTS
        whose = "ImageNet's" if usual else "those of the network's published weights"
        whose = "the data's" if dataset else whose
        note(f"mean {mean} and std {std} are {whose}: --mean and --std name those of its training")
    registry.entry_of(contract)  # what could not be opened again is not begun
    config = RunConfig(
        contract=contract,
        recipe=spec.recipe,
        data=data[0] if data else DataConfig(name="", image_size=shape[1], resize=wishes.resize),
        data_fingerprint=dataset.fingerprint if dataset else "",
        environment=environment(),
        created=now(),
        imported=report(weights, fit),
    )
    return Import(config, model, fit)


def report(weights: Weights, fit: Fit) -> dict[str, Any]:
    """Where the weights came from and what became of them, JSON-ready."""
    return {
        "file": weights.file.name,
        "sha256": weights.sha256,
        "taken": len(fit.taken),
        "missing": list(fit.missing),
        "idle": list(fit.idle),
        "unused": list(fit.unused),
        "misshapen": to_data(fit.misshapen),
    }


def write_import(run: Run, planned: Import, dataset: Dataset | None = None) -> None:
    """What a training leaves, as far as there is any; a folder that cannot be filled goes."""
    state = planned.model.state_dict()
    try:
        save_checkpoint(run.best, Checkpoint(planned.config.contract, state))
        write_summary(run.folder, planned.model, planned.config.contract)
        if dataset is not None:
            run.write_images(dataset)
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _agreed(classes: tuple[str, ...] | None, dataset: Dataset | None) -> tuple[str, ...] | None:
    """The names that were given, else the data's. Raises DataError if they differ."""
    if dataset is None or classes is None or classes == dataset.classes:
        return classes or (dataset.classes if dataset else None)
    if sorted(classes) == sorted(dataset.classes):
        what = "The data has these classes in another order"
    else:
        what = f"The data has {len(dataset.classes)} other classes"
    raise DataError(
        f"{what}: {_beginning(dataset.classes)} instead of {_beginning(classes)}.",
        hint="Import with --classes alone, or with data of the same classes.",
    )


def _beginning(names: tuple[str, ...]) -> str:
    return ", ".join(printable(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")


def _shape(
    spec: ArchitectureSpec, wishes: Wishes, dataset: Dataset | None
) -> tuple[Shape, tuple[int, ...]]:
    """The images' shape, and the numbers of channels to try."""
    if dataset is not None:
        return dataset.image_shape, (dataset.image_shape[0],)
    channels, height, width = spec.input_shape
    size = wishes.image_size
    if size is not None and size < spec.min_size:
        raise UsageError(
            f"Image size {size} is too small for this network.",
            hint=f"It takes {spec.min_size} or more.",
        )
    return (channels, size or height, size or width), tuple(dict.fromkeys((channels, 3, 1)))


def channels_of(
    registry: Registry, architecture: str, weights: Weights, form: Form | None
) -> int | None:
    """Those of the images that the file's network takes; None if it is another network."""
    spec = registry.architectures[architecture]
    shape, channels = _shape(spec, Wishes(), None)
    fit = best_fit(
        spec, weights.tensors, shape=shape, channels=channels, num_classes=None, form=form
    )
    return fit.options.in_channels if fit.whole else None


def _misfit(
    registry: Registry, spec: ArchitectureSpec, weights: Weights, fit: Fit
) -> ModelFileError:
    count = fit.options.num_classes
    if fit.classes is not None and fit.classes != count:
        hint = (
            f"Its head is for {fit.classes} classes, not the {count} that --classes or --data "
            "names; --partial leaves it out."
        )
    elif other := _fitting(registry, weights, besides=spec):
        hint = f"It fits --arch {other}."
    elif fit.share < LEAST:
        hint = f"Is it a file of '{spec.name}'?"
    else:
        hint = "--partial takes what fits and leaves the rest as it is before training."
    return ModelFileError(
        f"The file does not fit '{spec.name}': {fit.differences()}.", where=weights.file, hint=hint
    )


def _fitting(registry: Registry, weights: Weights, *, besides: ArchitectureSpec) -> str | None:
    """The first network that the file would fit whole; those of its size are tried first."""
    size = sum(tensor.numel() for tensor in weights.tensors.values())
    specs = [spec for spec in registry.architectures.values() if spec is not besides]
    for spec in sorted(specs, key=lambda spec: abs(log(spec.parameters / max(size, 1)))):
        with suppress(CnnregError):  # a network that cannot be built is no suggestion
            if resembles(spec, weights.tensors) and channels_of(registry, spec.name, weights, None):
                return spec.name
    return None


def _built(spec: ArchitectureSpec, fit: Fit, form: Form | None, note: Note) -> nn.Module:
    options = fit.options
    height, width = options.input_shape[1:]
    usual = form or spec.options(input_shape=options.input_shape).form
    seed_streams(spec.recipe.seed)  # of what the file does not hold
    try:
        model = build_model(spec, options)
    except PluginError as error:
        if options.form == usual:
            raise
        raise UsageError(
            f"The file fits the {options.form} form, which takes no images of {height}x{width}.",
            hint="Name another --image-size.",
        ) from error
    if options.form != usual:
        note(
            f"the file fits the {options.form} form alone, so that is taken; images of "
            f"{height}x{width} would have the {usual} one"
        )
    return model


@torch.no_grad()
def _take(model: nn.Module, fit: Fit, spec: ArchitectureSpec, weights: Weights) -> None:
    """Copy in what fits, as the network's own kind of number."""
    own = model.state_dict()
    taken = sum(own[name].numel() for name in fit.taken)
    if taken < LEAST * sum(tensor.numel() for tensor in own.values()):
        raise ModelFileError(
            f"Only {len(fit.taken)} of the {len(own)} tensors of '{spec.name}' are in the file, "
            "less than half of the network.",
            where=weights.file,
            hint="Was it made for this network?",
        )
    for name in fit.taken:
        tensor = fit.tensors[name]
        if tensor.is_complex():
            raise ModelFileError(f"'{name}' holds complex numbers.", where=weights.file)
        own[name].copy_(tensor)
        if not is_finite(own[name]):
            raise ModelFileError(f"'{name}' holds NaN or infinity.", where=weights.file)


def _contract(
    entry: Entry[ArchitectureSpec],
    fit: Fit,
    wishes: Wishes,
    classes: tuple[str, ...],
    dataset: Dataset | None,
) -> ModelContract:
    spec, options = entry.spec, fit.options
    channels = options.in_channels
    mean, std = (
        _per_channel(given, channels, flag) or _usual(usual, channels)
        for given, flag, usual in (
            (wishes.mean, "--mean", dataset.mean if dataset else spec.pretrained_mean),
            (wishes.std, "--std", dataset.std if dataset else spec.pretrained_std),
        )
    )
    try:
        return ModelContract(
            architecture=spec.name,
            plugin=entry.plugin.package,
            num_classes=options.num_classes,
            input_shape=options.input_shape,
            form=options.form,
            dropout=options.dropout,
            classes=classes,
            mean=mean,
            std=std,
            resize=wishes.resize,
            dataset=dataset.name if dataset else "",
        )
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _per_channel(
    values: tuple[float, ...] | None, channels: int, flag: str
) -> tuple[float, ...] | None:
    if values is None or len(values) == channels:
        return values
    if len(values) == 1:
        return values * channels
    raise UsageError(f"{flag} has {len(values)} numbers; the images have {channels} channels.")


def _usual(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """A value for each channel; their average where there are other channels than values."""
    if channels == len(values):
        return values
    return (round(sum(values) / len(values), 3),) * channels
