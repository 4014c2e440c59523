"""Means, spreads and the choice of the learning rate."""

from __future__ import annotations

import pytest

from cnnreg.comparing.results import Spread, best_rates, cells
from comparisons import result, results, trial


def test_the_sample_deviation_and_none_for_one_value():
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(2.0, 1.0, 3)
    assert Spread.of([1.0]) == Spread(1.0, None, 1)
    assert Spread.of([]) is None


def test_the_rate_is_chosen_by_validation_and_never_by_test():
    given = [
        result(trial(rate=0.1, seed=seed), val=0.6, test=0.9) for seed in range(2)
    ] + [result(trial(rate=0.01, seed=seed), val=0.7, test=0.1) for seed in range(2)]  # fmt: skip
    (best,) = best_rates(cells(given))
    assert best.learning_rate == 0.01


def test_a_rate_that_lost_a_seed_is_chosen_last():
    given = [
        result(trial(rate=0.1, seed=0), val=0.99),
        result(trial(rate=0.1, seed=1), val=None),
        result(trial(rate=0.01, seed=0), val=0.2),
        result(trial(rate=0.01, seed=1), val=0.2),
    ]
    table = cells(given)
    assert [(cell.learning_rate, cell.diverged) for cell in table] == [(0.1, 1), (0.01, 0)]
    assert best_rates(table)[0].learning_rate == 0.01


def test_rates_are_chosen_over_the_seeds_that_all_have():
    given = [result(trial(rate=0.1, seed=seed), val) for seed, val in enumerate((0.7, 0.1, 0.1))]
    given.append(result(trial(rate=0.01, seed=0), val=0.6))
    (best,) = best_rates(cells(given))
    assert best.learning_rate == 0.1


def test_cells_gather_the_seeds_in_the_order_of_the_contestants():
    given = results({"sgd": [0.5, 0.6], "adam": [0.7, None]})
    table = cells(reversed(given[:2] + given[2:]))
    assert [cell.optimizer for cell in table] == ["adam", "sgd"]
    adam, sgd = table
    assert (adam.val, adam.diverged) == (Spread(0.7, None, 1), 1)
    assert [r.trial.seed for r in sgd.results] == [0, 1]
    assert sgd.test.mean == pytest.approx(0.55)
    assert sgd.minutes == Spread(1.0, 0.0, 2)
