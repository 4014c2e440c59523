"""A data set's splits as the batches that a network is trained and judged on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cnnreg.data import Dataset, Split
from cnnreg.recipe import Recipe
from cnnreg.specs import ModelContract
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.step import balanced_weights

from .batches import Batch, Normalise, TrainingBatches, evaluation_batches


def training_batches(
    dataset: Dataset, contract: ModelContract, recipe: Recipe, world: World = ALONE
) -> TrainingBatches:
    return TrainingBatches(
        dataset.train.pixels,
        dataset.train.labels,
        recipe=recipe,
        augment=dataset.augment if recipe.augment == "auto" else recipe.augment,
        normalise=_normalise(contract, recipe),
        world=world,
    )


def _normalise(contract: ModelContract, recipe: Recipe) -> Normalise:
    return Normalise(contract.mean, contract.std, contiguous=recipe.layout == "contiguous")


def judging_batches(
    split: Split, contract: ModelContract, recipe: Recipe, world: World = ALONE
) -> Iterator[Batch]:
    normalise = _normalise(contract, recipe)
    return evaluation_batches(split.pixels, split.labels, normalise, world=world)


def class_weights(dataset: Dataset, recipe: Recipe) -> Tensor | None:
    if recipe.class_weights == "none":
        return None
    return balanced_weights(torch.from_numpy(dataset.train.labels), len(dataset.classes))
