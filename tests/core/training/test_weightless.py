"""Networks without numbers are the same networks but for the numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnreg.training.weightless import weightless


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
def test_all_shapes_are_those_of_the_real_network(training):
    real = network().train(training)
    answer = real(torch.zeros(2, 3, 9, 9))
    with weightless():
        model = network().train(training)
        found = model(torch.empty(2, 3, 9, 9))
    assert found.is_meta
    assert found.shape == answer.shape
    assert shapes(model) == shapes(real)


def test_every_parameter_takes_part():
    with weightless():
        model = network()
        model(torch.empty(2, 3, 9, 9)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_one_value_a_channel_is_refused_in_training_alone():
    with weightless():
        norm = nn.BatchNorm1d(4)
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            norm(torch.empty(1, 4))
        assert norm.eval()(torch.empty(1, 4)).shape == (1, 4)


def test_nothing_is_drawn_and_what_is_real_is_filled():
    before = torch.get_rng_state()
    with weightless():
        nn.init.kaiming_normal_(nn.Conv2d(3, 4, 3).weight)
        nn.init.trunc_normal_(torch.empty(4, 4))
        real = torch.full((3,), 7.0, device="cpu")
        nn.init.ones_(real)
        assert real.tolist() == [1, 1, 1]
        assert real.zero_().tolist() == [0, 0, 0]
        assert real.normal_().tolist() != [0, 0, 0]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.zeros(1).device.type == "cpu"
