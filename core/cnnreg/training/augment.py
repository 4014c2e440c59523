"""Augmentation of whole batches of uint8 images, each image with its own random numbers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cnnreg.errors import UsageError

Augment = Callable[[Tensor, Tensor], Tensor]
"""(images uint8 [N, H, W, C], draws in 0..1 [N, 3]) -> images of the same shape."""


def augmentation(name: str) -> Augment:
    """Raises UsageError for an unknown name."""
    try:
        return _AUGMENTATIONS[name]
    except KeyError:
        known = ", ".join(["auto", *_AUGMENTATIONS])
        raise UsageError(f"Unknown augmentation '{name}'.", hint=f"There are {known}.") from None


def none(images: Tensor, draws: Tensor) -> Tensor:
    return images


def crop(images: Tensor, draws: Tensor) -> Tensor:
    """Shift by up to an eighth of the size in each direction, edges mirrored."""
    _, height, width, _ = images.shape
    rows = _mirrored(_offsets(height, draws[:, 0]), height)
    columns = _mirrored(_offsets(width, draws[:, 1]), width)
    index = torch.arange(len(images))[:, None, None]
    return images[index, rows[:, :, None], columns[:, None, :]]


def crop_flip(images: Tensor, draws: Tensor) -> Tensor:
    """Shift as `crop` and mirror half of the images left to right (CIFAR's usual pair)."""
    images = crop(images, draws)
    flipped = draws[:, 2] < 0.5
    return torch.where(flipped[:, None, None, None], images.flip(2), images)


def _offsets(size: int, draws: Tensor) -> Tensor:
    """Source positions [N, size] of a window shifted by -size//8 .. size//8."""
    reach = size // 8
    shift = (draws * (2 * reach + 1)).long() - reach
    return torch.arange(size)[None, :] + shift[:, None]


def _mirrored(positions: Tensor, size: int) -> Tensor:
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


_AUGMENTATIONS: dict[str, Augment] = {"none": none, "crop": crop, "crop-flip": crop_flip}
