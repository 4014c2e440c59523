"""The state around the weights, through a file and back."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.registry import load_registry
from cnnreg.specs import Recipe
from cnnreg.training.checkpoint import load_weights, read_checkpoint, save_checkpoint
from cnnreg.training.progress import Progress
from cnnreg.training.state import capture, restore
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
    model = network()
    optimizer = build(list(model.named_parameters()), Recipe())
    step(model, optimizer, 3)
    save_checkpoint(path, capture(model, optimizer, Progress(epoch=2), contract()))
    resumed = network()
    restored = build(list(resumed.named_parameters()), Recipe())
    checkpoint = read_checkpoint(path)
    load_weights(resumed, checkpoint.model, path)
    progress, notes = restore(checkpoint, restored)
    assert (progress.epoch, notes) == (2, [])
    step(model, optimizer, 3)
    step(resumed, restored, 3)
    for ours, theirs in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_all_random_streams_come_back(tmp_path):
    path = tmp_path / "last.safetensors"
    model = network()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    save_checkpoint(path, capture(model, optimizer, Progress(), contract()))
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(9)
    np.random.seed(9)
    torch.manual_seed(9)
    restore(read_checkpoint(path), optimizer)
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_what_keeps_a_resume_from_being_exact_is_said(tmp_path):
    path = tmp_path / "last.safetensors"
    model = network()
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.1)
    made = capture(model, optimizer, Progress(), contract())
    made.state["torch"] = "1.0"
    save_checkpoint(path, made)
    _, notes = restore(read_checkpoint(path), optimizer)
    assert notes == [f"not bit-exact: torch was 1.0, is {torch.__version__}"]
