"""What is said of a file that does not fit: the differences, and the network that it would fit."""

from __future__ import annotations

from contextlib import suppress
from math import log

from cnnreg.errors import CnnregError, ModelFileError
from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec, Form
from cnnreg.training.saving.foreign import LEAST

from .contract import Wishes, image_shape
from .fitting import Fit, best_fit, resembles
from .reading import Weights


def channels_of(
    registry: Registry, architecture: str, weights: Weights, form: Form | None
) -> int | None:
    """Those of the images that the file's network takes; None if it is another network."""
    spec = registry.architectures[architecture]
    shape, channels = image_shape(spec, Wishes(), None)
    fit = best_fit(
        spec, weights.tensors, shape=shape, channels=channels, num_classes=None, form=form
    )
    return fit.options.in_channels if fit.whole else None


def misfit(
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
    others = [entry for entry in registry.architectures.entries if entry.spec is not besides]
    shared = registry.architectures.conflicts()
    for entry in sorted(others, key=lambda one: abs(log(one.spec.parameters / max(size, 1)))):
        name = entry.qualified if entry.spec.name in shared else entry.spec.name
        with suppress(CnnregError):  # a network that cannot be built is no suggestion
            if resembles(entry.spec, weights.tensors) and channels_of(
                registry, name, weights, None
            ):
                return name
    return None
