"""Batches from images in memory, in an order and with an augmentation one can reproduce.

The order is a function of (seed, epoch), the augmentation of an image one of
(seed, epoch, index). Neither depends on the number of processes, on the position
a run was resumed at, or on the global random stream.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnreg.recipe import Recipe
from cnnreg.training.distributed.world import ALONE, World

from .augment import Augment, Eraser, augmentation
from .distortion import Distortion
from .mixing import Mixer, mix

if TYPE_CHECKING:
    from cnnreg.specs import Labels, Pixels

SMALLEST = 0.25  # of the batch size: a last batch that is smaller is no step
PREPARED_BYTES = 8 << 20  # small images are prepared for several batches in one go


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's part of a batch; `total` images are in all parts together."""

    images: Tensor  # float32 [N, C, H, W], normalised
    labels: Tensor  # int64 [N]
    total: int
    other_labels: Tensor | None = None  # of the images mixed in, int64 [N]
    share: Tensor | None = None  # of the image's own label, float32 [N]

    @property
    def largest_labels(self) -> Tensor:
        """Of each image the label of its larger part."""
        if self.other_labels is None or self.share is None:
            return self.labels
        return torch.where(self.share < 0.5, self.other_labels, self.labels)

    def split(self, parts: int, world: World = ALONE) -> Iterator[Batch]:
        """The same images in at most `parts` pieces, each of them with the same `total`.

        Cut where one process would cut the whole batch, so that batch norm sees the same
        images together; never into pieces too small for it, or for one image a process, which
        may be fewer pieces than one process makes of a short last batch.
        """
        parts = max(1, min(parts, self.total // max(2, world.size)))
        wholes = torch.arange(self.total).tensor_split(parts)
        fields = (self.images, self.labels, self.other_labels, self.share)
        for whole in wholes if parts > 1 else ():
            piece = slice(world.before(int(whole[0])), world.before(int(whole[-1]) + 1))
            images, labels, *rest = (None if f is None else f[piece] for f in fields)
            assert images is not None
            assert labels is not None
            yield Batch(images, labels, self.total, *rest)
        if parts == 1:
            yield self


class TrainingBatches:
    """The training split, shuffled and augmented anew each epoch."""

    def __init__(
        self,
        pixels: Pixels,
        labels: Labels,
        *,
        recipe: Recipe,
        augment: str,
        normalise: Normalise,
        world: World = ALONE,
    ) -> None:
        self.pixels = _tensor(pixels)
        self.labels = torch.from_numpy(labels)
        self.batch_size = recipe.batch_size
        self.seed = recipe.seed
        self.augment: Augment = augmentation(augment, recipe.shift)
        self.distortion = Distortion(recipe.zoom, recipe.rotate, recipe.colour)
        self.eraser = Eraser(recipe.erasing, normalise.grey)
        self.mixer = Mixer(recipe.mixup, recipe.cutmix)
        self.normalise = normalise
        self.world = world

    def __len__(self) -> int:
        return len(self._borders()) - 1

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch that are left when `start` images are behind."""
        random = torch.Generator().manual_seed(_mix(self.seed, epoch))
        count = len(self.labels)
        order = torch.randperm(count, generator=random)
        # One row of random numbers an image: the same whatever batch it falls in.
        draws = torch.rand(count, 3, generator=random)
        draws[:, 2] = self._turns(epoch)
        erasures = self.eraser.draw(count, random)
        mixtures = self.mixer.draw(count, random)
        distortions = self.distortion.draw(count, random)

        def prepare(chosen: Tensor) -> Tensor:
            images = self.augment(self.pixels.index_select(0, chosen), draws[chosen])
            if distortions is not None:
                images = self.distortion(images, distortions[chosen])
            if erasures is not None:
                images = self.eraser(images, erasures[chosen])
            return self.normalise(images)

        wholes = [order[a:b] for a, b in pairwise(self._borders(start))]
        at_once = max(1, PREPARED_BYTES // (4 * self.batch_size * self.pixels[0].numel()))
        for first in range(0, len(wholes), at_once):
            group = wholes[first : first + at_once]
            parts = [self.world.part(whole) for whole in group]
            images = torch.split(prepare(torch.cat(parts)), [len(part) for part in parts])
            for whole, part, own in zip(group, parts, images, strict=True):
                if mixtures is None:
                    yield Batch(own, self.labels[part], len(whole))
                    continue
                partners = self.world.part(whole.roll(1))
                others = own.roll(1, 0) if self.world.size == 1 else prepare(partners)
                mixed, share = mix(own, others, mixtures.of(part))
                yield Batch(mixed, self.labels[part], len(whole), self.labels[partners], share)

    def _turns(self, epoch: int) -> Tensor:
        """Numbers in 0..1 that decide on mirroring: who is below a half is above it the next epoch.

        So the network sees each image both ways in any two epochs, not by chance alone
        (https://arxiv.org/abs/2404.00498, section 3.6).
        """
        first = torch.rand(
            len(self.labels), generator=torch.Generator().manual_seed(_mix(self.seed, -1))
        )
        return (first + epoch % 2 / 2) % 1

    def _borders(self, start: int = 0) -> list[int]:
        """Batch borders; a last batch too small for a step of its own goes with the one before.

        The gradient and the statistics of a few images would move the network as far as those
        of a whole batch.
        """
        count = len(self.labels)
        borders = [*range(start, count, self.batch_size), count]
        least = max(2, self.world.size, SMALLEST * self.batch_size)
        if len(borders) > 2 and borders[-1] - borders[-2] < least:
            del borders[-2]
        return borders


class Normalise:
    """uint8 [N, H, W, C] to float32 [N, C, H, W]: (x / 255 - mean) / std.

    One multiply-add, of whole rows of pixels at a time, which leaves the result in channels-last
    memory.
    `cnnreg.images.normalise` is the same without torch.
    """

    def __init__(
        self, mean: tuple[float, ...], std: tuple[float, ...], *, contiguous: bool = False
    ) -> None:
        self.scale = torch.tensor([1 / (255 * s) for s in std])
        self.shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)])
        self.grey = torch.tensor([round(255 * m) for m in mean], dtype=torch.uint8)
        self.contiguous = contiguous

    def __call__(self, images: Tensor) -> Tensor:
        count, height, width, channels = images.shape
        rows = images.reshape(count, height, width * channels).float()
        scale, shift = self.scale.repeat(width), self.shift.repeat(width)
        scaled = torch.addcmul(shift, rows, scale, out=rows).view(images.shape).permute(0, 3, 1, 2)
        # Not .contiguous(), which leaves grey images as they are: strides of channels-last memory.
        return scaled.clone(memory_format=torch.contiguous_format) if self.contiguous else scaled


def evaluation_batches(
    pixels: Pixels,
    labels: Labels,
    normalise: Normalise,
    *,
    batch_size: int = 256,
    world: World = ALONE,
) -> Iterator[Batch]:
    """This process's part of the images, in their order, `batch_size` of them at a time.

    All processes get as many batches; in the last one some may have no image.
    """
    at_once = batch_size * world.size
    for first in range(0, len(labels), at_once):
        last = min(first + at_once, len(labels))
        chunk = slice(first + world.rank, last, world.size)
        images = normalise(_tensor(pixels[chunk]))
        yield Batch(images, torch.from_numpy(labels[chunk]), last - first)


def _tensor(pixels: Pixels) -> Tensor:
    """Of the same memory, which may be a file's: nothing writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(pixels)


def _mix(seed: int, epoch: int) -> int:
    """Distinct streams for neighbouring seeds and epochs (SplitMix64's finaliser)."""
    value = (seed * 0x9E3779B97F4A7C15 + epoch * 0xBF58476D1CE4E5B9) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return (value ^ (value >> 31)) % 2**63
