"""What a step counts, and what it leaves behind: the average of the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from cnnreg.recipe import Recipe
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.feeding.batches import Batch
from cnnreg.training.groups import RATE_SHARE
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


IMAGES = torch.tensor([[4.0, 1.0, 0.0], [0.0, 2.0, 1.0]])  # which are their own logits
LABELS, OTHERS, SHARE = torch.tensor([0, 2]), torch.tensor([1, 1]), torch.tensor([0.7, 0.4])


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        logits = self.scale * images.flatten(1)
        return (logits, 2 * logits) if self.training else logits


def step_of(model, optimizer=None, **options):
    recipe = replace(Recipe().plain(), **options.pop("recipe", {}))
    return Step(
        Trainee(model, optimizer or torch.optim.SGD(model.parameters())),
        recipe,
        device=torch.device("cpu"),
        world=ALONE,
        input_shape=(3, 1, 1),
        **options,
    )


def test_the_loss_is_of_both_labels_by_their_shares_smoothed_weighted_and_of_all_heads():
    """Label smoothing as in Szegedy et al. 2015, section 7: a share of all classes alike."""
    weights = torch.tensor([0.5, 1.0, 3.0])
    step = step_of(
        TwoHeads(), aux_weight=0.3, class_weights=weights, recipe={"label_smoothing": 0.1}
    )
    batch = Batch(IMAGES[:, :, None, None], LABELS, total=2, other_labels=OTHERS, share=SHARE)
    found, _ = step(batch, 0.0)

    def loss(logits, label):
        wanted = 0.9 * one_hot(label, 3) + 0.1 / 3
        return weights[label] * -(wanted * logits.log_softmax(0)).sum()

    expected = sum(
        head * (share * loss(scale * logits, label) + (1 - share) * loss(scale * logits, other))
        for logits, label, other, share in zip(IMAGES, LABELS, OTHERS, SHARE, strict=True)
        for head, scale in ((1, 1), (0.3, 2))
    )
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_each_group_gets_its_share_of_the_rate():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3), nn.Linear(3, 3))
    groups = [
        {"params": list(model[1].parameters()), RATE_SHARE: 0.1},
        {"params": list(model[2].parameters())},
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    step_of(model, optimizer)(Batch(IMAGES[:, :, None, None], LABELS, total=2), 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.5]


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
    assert step_of(model)(batch, 0.1)[1] == right
