"""What a step leaves behind: the average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnreg.training.step import averaged


def test_a_short_average_forgets_the_weights_it_began_with():
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model, 0.995)
    for value in [100.0] + 50 * [1.0]:
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
    assert average.module.weight.item() == pytest.approx(1, abs=0.1)  # 78 without a warm-up


def test_a_long_average_has_the_decay_that_was_asked_for():
    model = nn.Linear(1, 1, bias=False)
    average = averaged(model, 0.5)
    for value in [*range(40), 1024]:
        nn.init.constant_(model.weight, value)
        before = average.module.weight.item()
        average.update_parameters(model)
    assert average.module.weight.item() == (before + 1024) / 2


def test_counters_are_copied_not_averaged():
    model = nn.BatchNorm1d(2)
    average = averaged(model, 0.9)
    for _ in range(5):
        model(torch.randn(4, 2))
        average.update_parameters(model)
    assert average.module.num_batches_tracked.item() == 5
