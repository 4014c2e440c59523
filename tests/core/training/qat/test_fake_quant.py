from __future__ import annotations

import pytest
import torch
from torch import nn

from cnnreg.training.qat.fake_quant import fake_quantised, input_ranges, layer_errors, plain_weights


class Net(nn.Module):
    """Two layers that run, of which the first has one weight far larger than the others."""

    def __init__(self) -> None:
        super().__init__()
        self.rough = nn.Linear(8, 8)
        self.fine = nn.Linear(8, 3)
        self.idle = nn.Linear(8, 3)
        with torch.no_grad():
            self.rough.weight[:, 0] = 40.0

    def forward(self, images):
        return self.fine(self.rough(images).relu())


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def images():
    images = torch.rand(16, 8, generator=torch.Generator().manual_seed(1))
    images[:, 0] = 0.0
    return images


def test_layers_that_run_have_the_range_of_their_input(model, images):
    ranges = input_ranges(model, images)
    assert list(ranges) == ["rough", "fine"]
    assert ranges["rough"] == (0.0, images.max().item())


def test_the_layer_that_loses_most_by_rounding_costs_most(model, images):
    errors = dict(layer_errors(model, images))
    assert errors["rough"] > 3 * errors["fine"] > 0
    assert dict(layer_errors(model, images)) == errors


def test_nothing_of_it_stays_behind(model, images):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = model(images)
    with fake_quantised(model, input_ranges(model, images)):
        assert not torch.equal(model(images), wanted)
        assert plain_weights(model, ["rough", "fine"]).keys() == before.keys()
    assert torch.equal(model(images), wanted)
    assert type(model.rough) is nn.Linear
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in before)


def test_a_networks_own_parametrisation_keeps_its_names(model, images):
    nn.utils.parametrizations.weight_norm(model.rough)
    names = model.state_dict().keys()
    ranges = input_ranges(model, images)
    assert "rough" not in ranges
    with fake_quantised(model, ranges):
        assert plain_weights(model, ranges).keys() == names


def test_many_images_are_not_in_memory_at_once(model, images):
    sizes = []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    whole = input_ranges(model, images.repeat(5, 1))
    assert sizes == [64, 16]
    assert whole == input_ranges(model, images)


def test_weights_have_255_levels_in_each_channel(model, images):
    with fake_quantised(model, {"fine": (0.0, 1.0)}):
        rounded = model.fine.weight
        steps = rounded / (model.fine.parametrizations.weight.original.abs().amax(1)[:, None] / 127)
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)


def test_gradients_pass_as_if_nothing_were_rounded(model, images):
    with fake_quantised(model, {"fine": input_ranges(model, images)["fine"]}):
        model(images).sum().backward()
    assert model.fine.weight.grad.abs().sum() > 0
    assert model.rough.weight.grad.abs().sum() > 0
