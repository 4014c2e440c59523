"""What a checkpoint cannot hold is named; what it can is let through."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnreg.networks.savable import unsavable


class Stateful(nn.Linear):
    def get_extra_state(self):
        return {"version": 1}


def on_one_memory(*parts) -> nn.Module:
    bank, model = torch.zeros(4, 3), nn.Module()
    for number, part in enumerate(parts):
        model.register_parameter(f"w{number}", nn.Parameter(bank[part]))
    return model


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    return model


def with_buffer(numbers, **options) -> nn.Module:
    model = nn.Linear(2, 2)
    model.register_buffer("mask", numbers, **options)
    return model


ENDLESS = torch.full((4, 4), float("-inf")).triu(1)


@pytest.mark.parametrize(
    "model, said",
    [
        (nn.ModuleDict({"stage/1": nn.Linear(2, 2)}), "'stage/1.weight': a tensor's name must not"),
        (Stateful(2, 2), "'_extra_state' is no tensor"),
        (nn.Sequential(nn.LazyLinear(2)), "'0.weight' has no shape"),
        (on_one_memory(slice(0, 3), slice(2, 4)), "'w1' lies on another tensor's memory"),
        (with_buffer(torch.ones(1).expand(3, 1)), "'mask' is expanded, one number for many"),
        (with_buffer(ENDLESS), "'mask' holds infinity or NaN"),
    ],
)
def test_it_is_named(model, said):
    assert said in unsavable(model)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last),
        tied(),
        with_buffer(ENDLESS, persistent=False),
        with_buffer(torch.ones(1).expand(1, 1)),
        with_buffer(torch.arange(3)),
        on_one_memory(slice(0, 2), slice(2, 4)),
        on_one_memory((slice(None), 0), (slice(None), 1)),  # columns: neighbours, yet apart
    ],
)
def test_it_can_be_saved(model):
    assert not unsavable(model)
