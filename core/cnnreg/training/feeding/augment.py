"""Augmentation of whole batches of uint8 images, each image with its own random numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Augment = Callable[[Tensor, Tensor], Tensor]
"""(images uint8 [N, H, W, C], draws in 0..1 [N, 3]) -> images of the same shape."""


def augmentation(name: str, shift: float) -> Augment:
    """By its name in `cnnreg.recipe.CHOICES`; images move by up to that share of their sides."""
    return partial(_AUGMENTATIONS[name], shift=shift)


def none(images: Tensor, draws: Tensor, shift: float) -> Tensor:
    return images


def crop(images: Tensor, draws: Tensor, shift: float) -> Tensor:
    """Move by up to `shift` of the sides, a whole number of pixels, edges mirrored."""
    return _taken(images, *_window(images, draws, shift))


def crop_flip(images: Tensor, draws: Tensor, shift: float) -> Tensor:
    """Move as `crop` and mirror half of the images left to right (CIFAR's usual pair)."""
    rows, columns = _window(images, draws, shift)
    flipped = draws[:, 2] < 0.5
    return _taken(images, rows, torch.where(flipped[:, None], columns.flip(1), columns))


class Eraser:
    """Random erasing (https://arxiv.org/abs/1708.04896): a rectangle becomes the mean colour."""

    def __init__(self, probability: float, colour: Tensor) -> None:
        self.probability = probability
        self.colour = colour  # uint8 [C]

    def draw(self, count: int, random: torch.Generator) -> Tensor | None:
        """Numbers in 0..1 [N, 5] for `count` images; None, and none drawn, if it is off."""
        return torch.rand(count, 5, generator=random) if self.probability else None

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """An area of 2 to 33 % and a log-uniform aspect of 1:3 to 3:1: nearly torchvision's.

        The paper has areas up to 40 %, and the aspect uniform.
        """
        _, height, width, _ = images.shape
        erased, area, aspect, y, x = draws.unbind(1)
        side = (0.02 + 0.31 * area).sqrt()
        stretch = 3 ** (aspect - 0.5)  # the root of an aspect between 1/3 and 3
        rows = _span(height, y, side * stretch)
        columns = _span(width, x, side / stretch)
        window = rows[:, :, None] & columns[:, None, :]
        window &= (erased < self.probability)[:, None, None]
        return torch.where(window[..., None], self.colour, images)


def _span(size: int, start: Tensor, share: Tensor) -> Tensor:
    """Positions [N, size] of a piece of that share, placed by `start` (0..1) to lie inside."""
    share = share.clamp(max=1)
    first = (start * (1 - share) * size)[:, None]
    positions = torch.arange(size)[None, :] + 0.5  # of the pixels' middles: no edge is spared
    return (positions >= first) & (positions < first + (share * size)[:, None])


def _window(images: Tensor, draws: Tensor, shift: float) -> tuple[Tensor, Tensor]:
    """Source rows [N, H] and columns [N, W] of a move in both directions."""
    _, height, width, _ = images.shape
    rows = _mirrored(_offsets(height, draws[:, 0], shift), height)
    return rows, _mirrored(_offsets(width, draws[:, 1], shift), width)


def _taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Each pixel of a window by its number, for `index_select` copies it whole."""
    count, height, width, channels = images.shape
    number = torch.int32 if count * height * width < 2**31 else torch.int64
    rows = (rows + height * torch.arange(count)[:, None]).to(number)
    chosen = width * rows[:, :, None] + columns.to(number)[:, None, :]
    pixels = images.reshape(-1, channels).squeeze(1)  # grey ones as single numbers: 4 times as fast
    return pixels.index_select(0, chosen.flatten()).view(images.shape)


def _offsets(size: int, draws: Tensor, shift: float) -> Tensor:
    """Source positions [N, size] of a window moved by -reach .. reach pixels."""
    reach = int(size * shift)
    moved = (draws * (2 * reach + 1)).long() - reach
    return torch.arange(size)[None, :] + moved[:, None]


def _mirrored(positions: Tensor, size: int) -> Tensor:
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


_AUGMENTATIONS = {"none": none, "crop": crop, "crop-flip": crop_flip}
