"""A few more epochs with rounded weights and activations, for int8 that loses less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnreg.data import Dataset
from cnnreg.errors import GateError
from cnnreg.images import normalise
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.training.building import build_optimizer, choose_device
from cnnreg.training.determinism import deterministic
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.splits import class_weights, judging_batches, training_batches
from cnnreg.training.groups import body_of
from cnnreg.training.loop import train
from cnnreg.training.saving.checkpoint import Checkpoint, model_of
from cnnreg.training.saving.progress import Progress
from cnnreg.training.saving.state import seed_streams, streams_kept
from cnnreg.training.step import Step, Trainee
from cnnreg.training.stopping import StopRequest

from .fake_quant import fake_quantised, input_ranges, plain_weights

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

EPOCHS = 3
RATE_SHARE = 0.02  # of the recipe's peak: the weights shall settle nearby, not learn anew


def finetuned(
    registry: Registry,
    checkpoint: Checkpoint,
    recipe: Recipe,
    dataset: Dataset,
    calibration: Pixels,
    *,
    on_step: Callable[[Progress], None],
) -> Iterator[dict[str, Tensor]]:
    """The weights after each of EPOCHS epochs from `checkpoint`, on the recipe's batches.

    Whatever `on_step` raises ends it, as DivergedError does. The run is not touched.
    Raises GateError where the run's optimizer is not installed here.
    """
    if recipe.optimizer not in registry.optimizers:
        raise GateError(f"the run's optimizer, {recipe.optimizer}, is not installed")
    contract, device = checkpoint.contract, choose_device("auto")
    architecture = registry.architecture_of(contract)
    recipe = gentle(recipe)
    with streams_kept(), deterministic(device):
        seed_streams(recipe.seed)
        model = model_of(checkpoint, architecture, Path())
        samples = torch.from_numpy(normalise(calibration, contract.mean, contract.std))
        ranges = input_ranges(model, samples)
        model.to(device)
        with fake_quantised(model, ranges):
            step = Step(
                Trainee(model, build_optimizer(registry, model, recipe)),
                recipe,
                name=architecture.name,
                device=device,
                world=ALONE,
                input_shape=contract.input_shape,
                aux_weight=architecture.aux_weight,
                class_weights=class_weights(dataset, recipe),
            )
            for _ in train(
                step,
                training_batches(dataset, contract, recipe),
                validation=lambda: judging_batches(dataset.val, contract, recipe),
                recipe=recipe,
                progress=Progress(),
                body=body_of(model, frozenset()),
                on_step=on_step,
                on_stop=lambda: None,
                stop=StopRequest(),  # never entered: a signal ends all at once, nothing is lost
            ):
                yield plain_weights(model, ranges)


def gentle(recipe: Recipe) -> Recipe:
    """The run's recipe for weights that are trained already."""
    return replace(
        recipe.plain(),
        epochs=EPOCHS,
        patience=0,
        learning_rate=recipe.learning_rate * RATE_SHARE,
        schedule="linear",
        warmup=0,
        start_size=1,
        freeze=0,
        body_rate=1,
        ema=0,
        precision="fp32",
        compile="off",
    )
