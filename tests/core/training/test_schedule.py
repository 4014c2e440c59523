"""Learning-rate schedules."""

from __future__ import annotations

import pytest
import torch

from cnnreg.errors import UsageError
from cnnreg.specs import Recipe
from cnnreg.training.schedule import learning_rate


def test_constant_after_a_linear_warmup():
    recipe = Recipe(epochs=4, learning_rate=0.1, warmup=1.0)
    rates = [learning_rate(recipe, step, 5) for step in range(8)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])


def test_cosine_falls_from_the_peak_to_zero():
    recipe = Recipe(epochs=2, learning_rate=0.1, schedule="cosine")
    assert learning_rate(recipe, 0, 10) == 0.1
    assert learning_rate(recipe, 10, 10) == pytest.approx(0.05)
    assert learning_rate(recipe, 20, 10) == pytest.approx(0, abs=1e-12)


def test_one_cycle_has_the_peak_and_ends_of_torch():
    recipe = Recipe(epochs=10, learning_rate=0.1, schedule="one-cycle")
    ours = [learning_rate(recipe, step, 10) for step in range(101)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=101)
    assert max(ours) == pytest.approx(0.1)
    assert ours[0] == pytest.approx(theirs.get_last_lr()[0])
    assert ours.index(max(ours)) == 30
    assert ours[-1] == pytest.approx(0.1 / 250_000, rel=1e-6)


def test_an_unknown_schedule_names_the_known_ones():
    with pytest.raises(UsageError, match="one-cycle"):
        learning_rate(Recipe(schedule="stairs"), 0, 10)
