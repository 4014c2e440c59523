"""Learning-rate schedules as pure functions: nothing to save, nothing to restore."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnreg.recipe import Recipe
from cnnreg.specs import EpochRecord

ONE_CYCLE_RISE = 0.3  # of the steps, unless a warm-up is given; as in torch's OneCycleLR
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 250_000


def learning_rate(
    recipe: Recipe, step: int, steps_per_epoch: int, history: Sequence[EpochRecord] = ()
) -> float:
    """The rate for optimizer step `step`, counted from 0; `history` holds the epochs behind it."""
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup * steps_per_epoch)
    thawed = step - recipe.freeze * steps_per_epoch
    risen = step if thawed < 0 else thawed  # a body that thaws begins as cold as the head did
    warm = min(1.0, (risen + 1) / warmup) if warmup else 1.0
    if recipe.schedule == "one-cycle":  # which begins with a rise of its own
        rise = min(1.0, warmup / total) if warmup else ONE_CYCLE_RISE
        again = warm if recipe.freeze and thawed >= 0 else 1.0
        return recipe.learning_rate * again * _one_cycle(min(1.0, step / total), rise)
    if step < warmup:
        return recipe.learning_rate * warm
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return recipe.learning_rate * warm * _factor(recipe, done, history)


def _factor(recipe: Recipe, done: float, history: Sequence[EpochRecord]) -> float:
    """The share of the peak rate when `done` (0..1) of the steps are behind."""
    factors = {
        "constant": lambda: 1.0,
        "linear": lambda: 1.0 - done,
        "cosine": lambda: _cosine(1.0, 0.0, done),
        "step": lambda: recipe.gamma ** sum(done >= share for share in recipe.milestones),
        "plateau": lambda: recipe.gamma ** _plateaus(recipe.plateau, history),
    }
    return factors[recipe.schedule]()


def _one_cycle(done: float, rise: float) -> float:
    """Smith and Topin, https://arxiv.org/abs/1708.07120, with cosine legs; shares of the steps."""
    if done < rise:
        return _cosine(ONE_CYCLE_START, 1.0, done / rise)
    return _cosine(1.0, ONE_CYCLE_END, (done - rise) / (1 - rise) if rise < 1 else 0.0)


def _plateaus(length: int, history: Sequence[EpochRecord]) -> int:
    """How often `length` epochs in a row brought no new best one."""
    found = waited = 0
    for record in history:
        waited = 0 if record.best else waited + 1
        if waited == length:
            found, waited = found + 1, 0
    return found


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
