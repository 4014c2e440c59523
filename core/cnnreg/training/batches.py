"""Batches from images in memory, in an order and with an augmentation one can reproduce.

The order is a function of (seed, epoch), the augmentation of an image one of
(seed, epoch, index). Neither depends on workers, on the position a run was
resumed at, or on the global random stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .augment import Augment, augmentation

if TYPE_CHECKING:
    from cnnreg.specs import Labels, Pixels


@dataclass(frozen=True, slots=True)
class Batch:
    images: Tensor  # float32 [N, C, H, W], normalised, channels last in memory
    labels: Tensor  # int64 [N]


class TrainingBatches:
    """The training split, shuffled and augmented anew each epoch."""

    def __init__(
        self,
        pixels: Pixels,
        labels: Labels,
        *,
        batch_size: int,
        seed: int,
        augment: str,
        normalise: Normalise,
    ) -> None:
        self.pixels = torch.from_numpy(pixels)
        self.labels = torch.from_numpy(labels)
        self.batch_size = batch_size
        self.seed = seed
        self.augment: Augment = augmentation(augment)
        self.normalise = normalise

    def __len__(self) -> int:
        return len(self._borders()) - 1

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        random = torch.Generator().manual_seed(_mix(self.seed, epoch))
        order = torch.randperm(len(self.labels), generator=random)
        # One row of random numbers an image: the same whatever batch it falls in.
        draws = torch.rand(len(self.labels), 3, generator=random)
        borders = self._borders()
        for first, last in zip(borders[start:], borders[start + 1 :], strict=False):
            chosen = order[first:last]
            images = self.augment(self.pixels[chosen], draws[chosen])
            yield Batch(self.normalise(images), self.labels[chosen])

    def _borders(self) -> list[int]:
        """Batch borders; a last batch of one image, which batch norm cannot take, is merged."""
        count = len(self.labels)
        borders = [*range(0, count, self.batch_size), count]
        if len(borders) > 2 and borders[-1] - borders[-2] == 1:
            del borders[-2]
        return borders


class Normalise:
    """uint8 [N, H, W, C] to float32 [N, C, H, W] in channels-last memory: (x / 255 - mean) / std.

    One multiply-add per channel. `cnnreg.images.normalise` is the same without torch.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.scale = torch.tensor([1 / (255 * s) for s in std])
        self.shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])

    def __call__(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.shift, images.float(), self.scale).permute(0, 3, 1, 2)


def evaluation_batches(
    pixels: Pixels, labels: Labels, normalise: Normalise, *, batch_size: int = 256
) -> Iterator[Batch]:
    for first in range(0, len(labels), batch_size):
        chunk = slice(first, first + batch_size)
        images = normalise(torch.from_numpy(pixels[chunk]))
        yield Batch(images, torch.from_numpy(labels[chunk]))


def _mix(seed: int, epoch: int) -> int:
    """Distinct streams for neighbouring seeds and epochs (SplitMix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return (value ^ (value >> 31)) % 2**63
