"""A network is run in the memory that is fast, or in plain memory where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.networks.inference import FastNetwork, logits_of_model
from helpers import contract


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Linear(8 * 32 * 32, 10)

    def forward(self, images):
        return self.last(self.convolution(images).flatten(1))


class Viewing(Plain):
    """Takes a view that channels-last memory does not have."""

    def forward(self, images):
        return self.last(self.convolution(images).view(len(images), -1))


class Dynamic(Plain):
    """Has a parameter of five dimensions, which cannot lie so."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Parameter(torch.ones(2, 8, 8, 3, 3))

    def forward(self, images):
        return super().forward(images) * self.kernels.mean()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("kind", [Plain, Viewing, Dynamic])
def test_whatever_its_memory_it_answers_alike(images, kind):
    torch.manual_seed(0)
    network = kind().eval()
    torch.manual_seed(0)
    expected = logits_of_model(Plain().eval(), images, contract())
    found = logits_of_model(network, images, contract())
    np.testing.assert_allclose(found, expected, atol=1e-4)
    fast = network.convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert fast is (kind is Plain)


def test_an_input_that_does_not_fit_costs_no_speed():
    network = FastNetwork(Plain().eval())
    network(torch.zeros(1, 3, 32, 32))
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, 16, 16))
    network(torch.zeros(1, 3, 32, 32))
    assert network.layout == torch.channels_last
    weight = network.network.convolution.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_memory_that_runs_out_is_not_asked_for_twice():
    asked = []

    class Exhausted(nn.Module):
        def forward(self, images):
            asked.append(images.shape)
            raise RuntimeError("bad allocation")

    with pytest.raises(RuntimeError, match="bad allocation"):
        FastNetwork(Exhausted())(torch.zeros(1, 3, 8, 8))
    assert len(asked) == 1
