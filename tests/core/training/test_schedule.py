"""Learning-rate schedules."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from cnnreg.recipe import Recipe
from cnnreg.training.schedule import learning_rate


def test_constant_after_a_linear_warmup():
    recipe = Recipe(epochs=4, learning_rate=0.1, schedule="constant", warmup=1.0)
    rates = [learning_rate(recipe, step, 5) for step in range(8)]
    assert rates == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    "warmup, shares",
    [
        (1.0, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.25, 0.5, 0.75, 1, 1, 1]),
        (3.0, [(1 + step) / 12 for step in (*range(8), *range(12))] + [1, 1]),
        (0.0, 14 * [1]),
    ],
)
def test_a_body_that_thaws_is_warmed_up_as_the_head_was(warmup, shares):
    recipe = Recipe(epochs=6, learning_rate=0.1, schedule="constant", warmup=warmup, freeze=2)
    rates = [learning_rate(recipe, step, 4) for step in range(len(shares))]
    assert rates == pytest.approx([0.1 * share for share in shares])


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


@pytest.mark.parametrize("warmup, peak", [(2.0, 20), (10.0, 100), (50.0, 100)])
def test_a_warmup_is_the_rise_of_one_cycle_and_no_second_one(warmup, peak):
    recipe = Recipe(epochs=10, learning_rate=0.1, schedule="one-cycle", warmup=warmup)
    rates = [learning_rate(recipe, step, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[peak] == max(rates) == pytest.approx(0.1)
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)


def test_a_body_that_thaws_is_warmed_up_in_one_cycle_too():
    recipe = Recipe(epochs=6, learning_rate=0.1, schedule="one-cycle", warmup=1.0, freeze=2)
    cycle = replace(recipe, freeze=0)
    rates, plain = ([learning_rate(of, step, 4) for step in range(24)] for of in (recipe, cycle))
    shares = [rate / without for rate, without in zip(rates, plain, strict=True)]
    assert shares == pytest.approx([1] * 8 + [0.25, 0.5, 0.75] + [1] * 13)


def test_linear_comes_down_to_nothing():
    recipe = Recipe(epochs=2, learning_rate=0.1, schedule="linear", warmup=0.5)
    rates = [learning_rate(recipe, step, 10) for step in range(20)]
    assert rates[4] == rates[5] == pytest.approx(0.1)
    assert rates[0] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.1 / 15)


def test_step_falls_at_its_milestones():
    recipe = Recipe(epochs=4, learning_rate=1.0, schedule="step", milestones=(0.5, 0.75), gamma=0.5)
    rates = [learning_rate(recipe, epoch * 10, 10) for epoch in range(4)]
    assert rates == [1.0, 1.0, 0.5, 0.25]


def test_plateau_waits_for_epochs_without_gain_each_time():
    recipe = Recipe(learning_rate=1.0, schedule="plateau", plateau=2, gamma=0.1)
    history = [
        SimpleNamespace(best=best) for best in (True, False, True, False, False, False, False)
    ]
    rates = [learning_rate(recipe, 0, 10, history[:epoch]) for epoch in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.1, 0.1, 0.01])
