"""A training begins alike in every process, and from its seed alone."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.registry import Catalog, Entry
from cnnreg.run_data import data_of_run
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.preparing import prepared
from cnnreg.training.stopping import StopRequest
from helpers import make_run

pytestmark = pytest.mark.usefixtures("one_thread")


class Drawn(nn.Module):
    """Begins with numbers of every stream, and holds buffers of both kinds."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(64, classes)
        with torch.no_grad():
            self.layer.bias[0] = random.random()
            self.layer.bias[1] = float(np.random.rand())
        self.norm = nn.BatchNorm1d(classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(images.flatten(1)))


@pytest.fixture
def begun(registry, tmp_path):
    """The network, prepared as in the process given."""
    spec = replace(
        registry.architectures["mlp"],
        name="drawn",
        build=lambda options: Drawn(options.num_classes),
    )
    own = replace(
        registry, architectures=Catalog("architecture", [Entry(spec, registry.plugins[0])])
    )

    def begun(name, world=ALONE):
        run = make_run(own, tmp_path / name, "drawn", image_size=8, seed=3)
        ready = prepared(
            own,
            run,
            data_of_run(own, run),
            device=torch.device("cpu"),
            world=world,
            stop=StopRequest(),
            note=lambda text: None,
        )
        return ready.step.trainee.model

    return begun


def test_a_network_begins_as_its_seed_says_whatever_it_draws_from(begun):
    first = begun("one").state_dict()
    for stream in (random.seed, np.random.seed, torch.manual_seed):
        stream(77)
    second = begun("two").state_dict()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_each_process_takes_all_of_the_network_from_the_first(begun):
    copied = []

    class Copying(World):
        def copy_from_first(self, tensors):
            copied.extend(id(tensor) for tensor in tensors)

    model = begun("one", Copying())
    held = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    assert set(copied) == held


def test_each_process_draws_its_own_dropout(begun):
    begun("first")
    of_first = torch.rand(5)
    begun("second", World(rank=1))
    assert not torch.equal(torch.rand(5), of_first)
