"""The state around the weights, through a file and back."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.recipe import Recipe
from cnnreg.registry import load_registry
from cnnreg.training.distributed.world import ALONE
from cnnreg.training.groups import parameter_groups
from cnnreg.training.saving import state
from cnnreg.training.saving.checkpoint import (
    Checkpoint,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from cnnreg.training.saving.progress import Progress
from cnnreg.training.saving.state import capture, restore
from cnnreg.training.step import Trainee, averaged
from helpers import contract


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 5)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, times: int) -> None:
    stream = torch.Generator().manual_seed(1)
    images = torch.randn(16, 3, 8, 8, generator=stream)
    labels = torch.randint(0, 5, (16,), generator=stream)
    for _ in range(times):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()


@pytest.mark.parametrize("name", list(load_registry().optimizers))
def test_every_optimizer_goes_on_exactly(registry, tmp_path, name):
    """A file holds tensors row by row; the network here is channels-last."""
    path = tmp_path / "last.safetensors"
    build = registry.optimizers[name].build
    recipe = Recipe(weight_decay=0.01)
    model = network()
    optimizer = build(parameter_groups(model, recipe, frozenset()), recipe)
    step(model, optimizer, 3)
    save_checkpoint(path, capture(Trainee(model, optimizer), Progress(epoch=2), contract()))
    resumed = network()
    restored = build(parameter_groups(resumed, recipe, frozenset()), recipe)
    checkpoint = read_checkpoint(path)
    load_weights(resumed, checkpoint.model, path)
    assert restore(checkpoint, Trainee(resumed, restored)).epoch == 2
    step(model, optimizer, 3)
    step(resumed, restored, 3)
    for ours, theirs in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_tied_weights_stay_tied(registry, tmp_path):
    """One parameter of two names: it is stepped once, saved under both, and is one again."""

    def tied():
        model = network()
        model.append(nn.Linear(5, 5))
        model.append(nn.Linear(5, 5))
        model[-1].weight = model[-2].weight
        return model

    path, recipe = tmp_path / "last.safetensors", Recipe(weight_decay=0.01)
    build = registry.optimizers["momentum"].build
    model = tied()
    optimizer = build(parameter_groups(model, recipe, frozenset()), recipe)
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(set(map(id, listed))) == len(listed) == len(list(model.parameters()))
    trainee = Trainee(model, optimizer, averaged(model, 0.9))
    step(model, optimizer, 2)
    save_checkpoint(path, capture(trainee, Progress(), contract()))
    resumed = tied()
    again = build(parameter_groups(resumed, recipe, frozenset()), recipe)
    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint.model["5.weight"], checkpoint.model["6.weight"])
    load_weights(resumed, checkpoint.model, path)
    restore(checkpoint, Trainee(resumed, again, averaged(resumed, 0.9)))
    assert resumed[-1].weight is resumed[-2].weight
    step(model, optimizer, 2)
    step(resumed, again, 2)
    for ours, theirs in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_all_random_streams_come_back(tmp_path):
    path = tmp_path / "last.safetensors"
    model = network()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    save_checkpoint(path, capture(Trainee(model, optimizer), Progress(), contract()))
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(9)
    np.random.seed(9)
    torch.manual_seed(9)
    restore(read_checkpoint(path), Trainee(model, optimizer))
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


@pytest.fixture
def gpus(monkeypatch):
    """The random streams of two."""
    streams = {number: torch.full((16,), number, dtype=torch.uint8) for number in range(2)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: streams[device.index])
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda stream, device: streams.update({device.index: stream})
    )
    return streams


def saved(device, world=ALONE):
    tensors, data = state._random_to_data(torch.device(device), world)
    return Checkpoint(
        contract(), {}, {"random": data, "made_with": {"processes": world.size}}, tensors
    )


def test_the_stream_of_a_gpu_goes_on_on_another(gpus):
    before = gpus[1]
    state._random_from_data(saved("cuda:1"), torch.device("cuda:0"), ALONE)
    assert gpus[0] is before


def test_each_of_several_processes_has_the_stream_of_its_own_gpu(gpus):
    others = torch.full((16,), 7, dtype=torch.uint8)
    first = SimpleNamespace(rank=0, size=2, gathered=lambda stream: [stream, others])
    second = SimpleNamespace(rank=1, size=2)
    checkpoint = saved("cuda:0", first)
    checkpoint.extra["rng/torch/1"] = checkpoint.extra["rng/torch"]
    state._random_from_data(checkpoint, torch.device("cuda:1"), second)
    assert gpus[1] is others


def test_the_stream_that_an_older_version_kept_by_number_comes_back(gpus):
    before, checkpoint = gpus[1], saved("cuda:1")
    checkpoint.extra["rng/cuda1"] = checkpoint.extra.pop("rng/cuda")
    gpus[1] = gpus[0]
    state._random_from_data(checkpoint, torch.device("cuda:1"), ALONE)
    assert gpus[1] is before
