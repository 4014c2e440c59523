"""What trains a network, and what a training reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg.recipe import Recipe

from .checks import check, check_functions, check_kinds, check_line, check_name
from .contract import ModelContract

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """`build(parameters, recipe)` returns a torch optimizer.

    `parameters` are groups of named parameters, each with its own weight decay, as
    torch's optimizers take them; the training loop sets each group's learning rate.
    `learning_rate` is the one that suits most networks, for where no recipe is tuned to it.
    """

    name: str
    summary: str
    build: Callable[[list[dict[str, Any]], Recipe], torch.optim.Optimizer]
    learning_rate: float = Recipe().learning_rate

    def __post_init__(self) -> None:
        check_name("optimizer", self.name)
        check_line(self.name, "summary", self.summary)
        check_functions(self.name, build=self.build)
        check_kinds(self.name, learning_rate=(self.learning_rate, float))
        check(
            0 < self.learning_rate < inf,
            f"{self.name}: learning_rate must be above 0, not {self.learning_rate}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeSpec:
    """A named recipe: a TOML file whose keys are the fields of `Recipe`."""

    name: str
    summary: str
    path: Path

    def __post_init__(self) -> None:
        check_name("recipe", self.name)
        check_line(self.name, "summary", self.summary)
        check_kinds(self.name, path=(self.path, Path))
        check(self.path.suffix == ".toml", f"recipe {self.name}: {self.path} is not a .toml file")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    epoch: int  # from 1
    step: int  # optimizer steps since the start of training
    learning_rate: float
    train_loss: float
    train_accuracy: float  # of the augmented images (mixed ones: their larger part), 0..1
    val_loss: float
    val_accuracy: float
    images_per_second: float
    seconds: float  # training and validation of this epoch
    best: bool  # so far, on the validation images; its weights are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    folder: Path
    contract: ModelContract
    recipe: Recipe
    loggers: tuple[str, ...] = ()  # plugins that `train --log` asked for
