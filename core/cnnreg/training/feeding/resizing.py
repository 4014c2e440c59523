"""Progressive resizing: small images first, whole ones at the end.

A step on images of three quarters of the side takes half the time, and early in a
training teaches nearly as much (fast.ai for DAWNBench, 2018; "Fixing the train-test
resolution discrepancy", https://arxiv.org/abs/1906.06423, on ending at full size).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from cnnreg.errors import UsageError
from cnnreg.recipe import Recipe

from .batches import Batch

GROWN = 0.7  # the share of the training after which images are whole, or a little before
MULTIPLE = 4  # of pixels: each size is met for many steps, and halves well


def image_size(recipe: Recipe, side: int, step: int, steps_per_epoch: int) -> int:
    """Pixels of `side` that optimizer step `step`, counted from 0, is given."""
    if recipe.start_size == 1:
        return side
    done = step / (GROWN * recipe.epochs * steps_per_epoch)
    share = min(1.0, recipe.start_size + (1 - recipe.start_size) * done)
    return side if share == 1 else min(side, MULTIPLE * round(share * side / MULTIPLE))


def resized(batch: Batch, recipe: Recipe, step: int, steps_per_epoch: int) -> Batch:
    """The batch in the size of that step, each pixel a weighted mean of those around it."""
    height, width = batch.images.shape[2:]
    size = [image_size(recipe, side, step, steps_per_epoch) for side in (height, width)]
    if size == [height, width]:
        return batch
    images = functional.interpolate(batch.images, size, mode="bilinear", antialias=True)
    return replace(batch, images=images)


def check_sizes(model: nn.Module, recipe: Recipe, input_shape: tuple[int, ...]) -> None:
    """Raises UsageError for a network that does not take the smallest images."""
    channels, *sides = input_shape
    smallest = [image_size(recipe, side, 0, 1) for side in sides]
    if smallest == sides:
        return
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(2, channels, *smallest))
    except Exception as error:
        raise UsageError(
            f"This network does not take images of {smallest[0]}x{smallest[1]}, which a start "
            f"size of {recipe.start_size:g} begins with.",
            hint="Use --start-size 1.",
        ) from error
