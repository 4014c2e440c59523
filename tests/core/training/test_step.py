"""What a step counts, and what it leaves behind: the average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from cnnreg.recipe import Recipe
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.batches import Batch
from cnnreg.training.step import Step, Trainee, averaged


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


@pytest.mark.parametrize("share, right", [([0.9, 0.6, 0.2, 0.4], 3), (None, 4)])
def test_of_a_mixed_image_the_larger_part_counts_as_right(share, right):
    """The network sees through the images: it answers what they are, 0, 1, 2 and 0."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(model[1].weight)
    labels = torch.tensor([0, 1, 2, 0])
    mixed = share is not None
    batch = Batch(
        one_hot(labels, 3).float()[:, :, None, None],
        labels if not mixed else torch.tensor([0, 1, 1, 1]),
        total=4,
        other_labels=torch.tensor([2, 2, 2, 2]) if mixed else None,
        share=torch.tensor(share) if mixed else None,
    )
    step = Step(
        Trainee(model, torch.optim.SGD(model.parameters())),
        Recipe().plain(),
        device=torch.device("cpu"),
        world=ALONE,
        input_shape=(3, 1, 1),
    )
    assert step(batch, 0.1)[1] == right
