"""What travels with imported weights: as it was asked for, else as the data or the network says."""

from __future__ import annotations

from dataclasses import dataclass

from cnnreg.data import Dataset
from cnnreg.data.listing import compare_classes
from cnnreg.errors import DataError, UsageError
from cnnreg.planning import contract_of
from cnnreg.registry import Entry
from cnnreg.specs import ArchitectureSpec, Form, ModelContract, Resize, Shape

from .fitting import Fit, listed


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


def agreed_classes(
    classes: tuple[str, ...] | None, dataset: Dataset | None
) -> tuple[str, ...] | None:
    """The names that were given, else the data's. Raises DataError if they are others."""
    if dataset is None or classes is None:
        return classes or (dataset.classes if dataset else None)
    if compare_classes(dataset.classes, classes):
        raise DataError(
            f"The data has {len(dataset.classes)} other classes: {listed(dataset.classes)} "
            f"instead of {listed(classes)}.",
            hint="Import with --classes alone, or with data of the same classes.",
        )
    return classes


def image_shape(
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


def make_contract(
    entry: Entry[ArchitectureSpec],
    fit: Fit,
    wishes: Wishes,
    classes: tuple[str, ...],
    dataset: Dataset | None,
) -> ModelContract:
    spec, channels = entry.spec, fit.options.in_channels
    mean, std = (
        _per_channel(given, channels, flag) or _usual(usual, channels)
        for given, flag, usual in (
            (wishes.mean, "--mean", dataset.mean if dataset else spec.pretrained_mean),
            (wishes.std, "--std", dataset.std if dataset else spec.pretrained_std),
        )
    )
    try:
        return contract_of(
            entry,
            fit.options,
            classes=classes,
            moments=(mean, std),
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
