"""Networks without numbers are the same networks but for the numbers."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from cnnreg.networks.anatomy import count_macs
from cnnreg.networks.weightless import built_undrawn, built_weightless, ran


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(),
        nn.Linear(64, 5),
    )


def answer(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model(images)


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
def test_all_shapes_are_those_of_the_real_network(training):
    real = network().train(training)
    expected = real(torch.zeros(2, 3, 9, 9))
    model = built_weightless(lambda: network().train(training))
    found, ended = ran(model, (2, 3, 9, 9), lambda model, images: (model(images), shapes(model)))
    assert found.is_meta
    assert found.shape == expected.shape
    assert ended == shapes(real)


def test_every_parameter_takes_part():
    def run(model, images):
        model(images).sum().backward()
        assert images.is_meta
        return [parameter.grad is not None for parameter in model.parameters()]

    assert all(ran(built_weightless(network), (2, 3, 9, 9), run))


def test_one_value_a_channel_is_refused_in_training_alone():
    norm = built_weightless(lambda: nn.BatchNorm1d(4))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        ran(norm, (1, 4), answer)
    assert ran(norm.eval(), (1, 4), answer).shape == (1, 4)


@pytest.mark.parametrize(("features", "channels"), [(3, 1), (1, 4)])
def test_another_number_of_channels_is_refused(features, channels):
    with pytest.raises(RuntimeError, match="should contain"):
        ran(nn.BatchNorm2d(features), (2, channels, 5, 5), answer)


def test_norms_kept_in_float_leave_the_kind_of_number_alone():
    found = ran(nn.BatchNorm2d(3), (2, 3, 5, 5), lambda model, images: model(images.bfloat16()))
    assert (found.dtype, found.is_meta) == (torch.bfloat16, True)


def test_filling_a_parameter_is_refused_as_ever():
    with pytest.raises(RuntimeError, match="leaf Variable"):
        built_weightless(lambda: nn.Parameter(torch.empty(4)).normal_())


class Watched(TorchDispatchMode):
    """Keeps the names of the operators that are reached."""

    def __init__(self):
        super().__init__()
        self.reached = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.reached.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_what_is_slow_is_not_reached():
    with torch.no_grad(), Watched() as seen:
        model = built_weightless(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
        ran(model, (2, 3, 9, 9), answer)
    assert "convolution" in seen.reached
    assert not {name for name in seen.reached if "norm" in name or name == "uniform_"}


def test_nothing_is_drawn_and_what_is_real_is_filled():
    before = torch.get_rng_state()

    def build():
        nn.init.trunc_normal_(torch.empty(4, 4))
        real = torch.full((3,), 7.0)
        nn.init.ones_(real)
        assert real.tolist() == [1, 1, 1]
        assert real.zero_().tolist() == [0, 0, 0]
        assert real.normal_().tolist() != [0, 0, 0]
        return nn.Conv2d(3, 4, 3)

    built_weightless(build)
    assert torch.equal(torch.get_rng_state(), before)


@cache
def kernel(channels: int) -> torch.Tensor:
    return torch.ones(channels, 1, 3, 3) / 9


class Blurring(nn.Module):
    """Keeps tensors where no network looks for them: in a cache, and as a plain attribute."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.kernel = kernel(4)
        self.shift = torch.ones(1, 4, 1, 1)

    def forward(self, images):
        blurred = nn.functional.conv2d(self.layer(images), self.kernel + 0 * kernel(4), groups=4)
        return (blurred + self.shift).flatten(1)


def test_tensors_that_are_kept_elsewhere_keep_their_numbers():
    kernel.cache_clear()
    model = built_weightless(Blurring)
    assert model.layer.weight.is_meta
    assert count_macs(model, (3, 9, 9)) == count_macs(Blurring(), (3, 9, 9)) > 0
    assert torch.equal(kernel(4), torch.full((4, 1, 3, 3), 1 / 9))
    assert Blurring()(torch.zeros(2, 3, 9, 9)).isfinite().all()


@pytest.mark.parametrize(
    "draw",
    [
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.kaiming_normal_,
        nn.init.xavier_uniform_,
        nn.init.trunc_normal_,
        lambda weight: nn.init.normal_(tensor=weight),
    ],
)
def test_undrawn_parameters_are_zero_and_leave_the_random_stream_alone(draw):
    def build():
        model = nn.Linear(4, 3)
        draw(model.weight)
        nn.init.ones_(model.bias)
        return model

    stream = torch.get_rng_state()
    model = built_undrawn(build)
    assert not model.weight.any()
    assert model.weight.requires_grad
    assert model.bias.all()
    assert torch.equal(stream, torch.get_rng_state())


class Permuting(nn.Module):
    """Draws what no checkpoint holds, after its parameters."""

    def __init__(self, seed=None):
        super().__init__()
        if seed is not None:
            torch.manual_seed(seed)
        self.layer = nn.Linear(3, 8)
        self.register_buffer("order", torch.randperm(8), persistent=False)


class Particular(nn.Module):
    """Cannot be built of zeros."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("inverse", torch.linalg.inv(self.layer.weight.detach()))


@pytest.mark.parametrize("build", [Permuting, lambda: Permuting(seed=0), Particular])
def test_a_network_that_draws_more_is_built_as_ever(build):
    torch.manual_seed(7)
    expected = build()
    torch.manual_seed(7)
    found = built_undrawn(build)
    buffers = zip(expected.buffers(), found.buffers(), strict=True)
    assert all(torch.equal(one, other) for one, other in buffers)
    assert torch.equal(expected.layer.weight, found.layer.weight)


class Computed(nn.Module):
    """Holds a tensor that was computed, which cannot be copied."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.twice = 2 * self.layer.weight

    def forward(self, images):
        return nn.functional.linear(images.flatten(1), self.twice, self.layer.bias)


def test_a_network_that_cannot_be_copied_is_looked_at_itself():
    model = built_weightless(Computed)
    assert shapes(model) == shapes(Computed())
    assert count_macs(Computed(), (3, 2, 2)) == 48


def test_a_network_that_looks_at_numbers_while_it_is_built_is_shapes_too():
    """As stochastic depth does for its rates."""

    def build():
        rates = [rate.item() for rate in torch.linspace(0, 0.5, 3)]
        return nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Dropout(rate)) for rate in rates))

    before = torch.get_rng_state()
    model = built_weightless(build)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model[2][1].p == 0.5
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError):
        built_weightless(lambda: 1 / 0)


def test_what_is_imported_meanwhile_has_its_numbers(tmp_path, monkeypatch):
    """A plugin's module is first imported by whatever builds its network first."""
    (tmp_path / "with_a_mean.py").write_text("import torch\nMEAN = torch.tensor([0.5])\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = [*sys.meta_path]

    def build() -> nn.Module:
        from with_a_mean import MEAN

        return nn.Sequential(nn.Linear(2, len(MEAN)))

    assert built_weightless(build)[0].weight.is_meta
    from with_a_mean import MEAN

    assert MEAN.tolist() == [0.5]
    assert sys.meta_path == before


def test_nor_does_what_is_imported_where_nothing_is_drawn_lose_its_numbers(tmp_path, monkeypatch):
    (tmp_path / "drawn_once.py").write_text(
        "import torch\nFILTER = torch.nn.init.ones_(torch.nn.Parameter(torch.empty(3)))\n"
        "torch.nn.init.normal_(FILTER)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def build() -> nn.Module:
        import drawn_once

        return nn.Sequential(nn.Linear(2, len(drawn_once.FILTER)))

    built_undrawn(build)
    from drawn_once import FILTER

    assert FILTER.detach().abs().min() > 0


def test_what_a_module_sets_while_it_is_imported_holds(tmp_path, monkeypatch):
    (tmp_path / "sets_a_device.py").write_text(
        "import torch\nwith torch.device('meta'):\n    SHAPE = torch.empty(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stream = torch.get_rng_state()

    def build() -> nn.Module:
        import sets_a_device

        assert sets_a_device.SHAPE.is_meta
        return nn.Linear(2, 3)

    assert built_undrawn(build).weight.count_nonzero() == 0
    assert torch.equal(torch.get_rng_state(), stream)


ALONE = """
from torch import nn
from cnnreg.networks.weightless import built_weightless

built = []
network = built_weightless(lambda: built.append(1) or nn.Linear(2, 3))
assert network.weight.is_meta and len(built) == 1

def build():  # as where a plugin counts in its own build
    import colorsys, wave
    assert built_weightless(lambda: nn.Linear(2, 3)).weight.is_meta
    return nn.Linear(2, 3)

assert built_weightless(build).weight.is_meta
"""


def test_it_is_the_first_thing_that_a_process_does_with_torch():
    done = subprocess.run(
        [sys.executable, "-c", ALONE], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
