"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math

from cnnreg.errors import UsageError
from cnnreg.specs import Recipe

SCHEDULES = ("constant", "cosine", "one-cycle")

ONE_CYCLE_RISE = 0.3  # the share of steps before the peak, as in torch's OneCycleLR
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 250_000


def check_schedule(name: str) -> None:
    """Raises UsageError."""
    if name not in SCHEDULES:
        raise UsageError(f"Unknown schedule '{name}'.", hint=f"There are {', '.join(SCHEDULES)}.")


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate for optimizer step `step`, counted from 0."""
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * _factor(recipe.schedule, (step - warmup) / max(1, total - warmup))


def _factor(schedule: str, done: float) -> float:
    """The share of the peak rate when `done` (0..1) of the steps are behind."""
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return _cosine(1.0, 0.0, done)
    if schedule == "one-cycle":
        # Smith and Topin, https://arxiv.org/abs/1708.07120, with cosine legs.
        if done < ONE_CYCLE_RISE:
            return _cosine(ONE_CYCLE_START, 1.0, done / ONE_CYCLE_RISE)
        return _cosine(1.0, ONE_CYCLE_END, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))
    check_schedule(schedule)
    raise AssertionError(f"{schedule} is listed but not computed")


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
