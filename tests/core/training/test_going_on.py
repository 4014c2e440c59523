"""Stopped and gone on with is never stopped: to the bit, and each part of the state is needed."""

from __future__ import annotations

import dataclasses
import random
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from cnnreg.errors import StoppedError
from cnnreg.registry import Catalog, Entry
from cnnreg.runs import open_run
from cnnreg.training import loop
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import make_run, state_of, stop_at, train

pytestmark = pytest.mark.usefixtures("one_thread")


# wrn_16_4 has batch norm buffers, simple_cnn dropout: both draw on more than the weights.
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
@pytest.mark.parametrize("steps", [[1], [20], [21], [5, 22, 30]])
def test_stopped_and_resumed_equals_never_stopped(registry, tmp_path, optimizer, steps):
    settings = {"epochs": 2, "optimizer": optimizer, "augment": "crop", "schedule": "cosine"}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    for step in steps:
        with pytest.raises(StoppedError):
            train(registry, parts, on_step=stop_at(step))
        parts = open_run(parts.folder)
        assert read_checkpoint(parts.last).state["progress"]["step"] == step
        torch.rand(5)  # another process would have another random stream
    train(registry, parts)
    assert state_of(parts) == state_of(whole)
    assert parts.best.read_bytes() == whole.best.read_bytes()


def test_dropout_resumes_on_the_same_random_stream(registry, tmp_path):
    settings = {"architecture": "simple_cnn", "epochs": 1}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    with pytest.raises(StoppedError):
        train(registry, parts, on_step=stop_at(3))
    torch.manual_seed(99)
    train(registry, parts)
    assert state_of(parts) == state_of(whole)


# Everything that carries state at once: average, clipping, mixing, parts, plateau, weights.
EVERYTHING = {
    "architecture": "resnet20",
    "image_size": 12,
    "epochs": 2,
    "batch_size": 256,
    "optimizer": "nesterov",
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "schedule": "plateau",
    "plateau": 1,
    "accumulate": 2,
    "clip": 1.0,
    "ema": 0.9,
    "mixup": 0.2,
    "cutmix": 1.0,
    "erasing": 0.5,
    "zoom": 0.5,
    "rotate": 15.0,
    "colour": 0.3,
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "freeze": 1,
    "body_rate": 0.5,
    "augment": "crop-flip",
}


# bf16 is slow where the processor emulates it.
@pytest.mark.parametrize(
    "architecture, precision",
    [
        ("resnet20", "fp32"),
        ("mlp", "bf16"),
        pytest.param("resnet20", "bf16", marks=pytest.mark.slow),
    ],
)
def test_with_every_lever_it_goes_on_exactly(registry, tmp_path, architecture, precision):
    settings = {**EVERYTHING, "architecture": architecture, "precision": precision}
    whole = make_run(registry, tmp_path / "whole", **settings)
    train(registry, whole)
    parts = make_run(registry, tmp_path / "parts", **settings)
    for step in (2, 9):
        with pytest.raises(StoppedError):
            train(registry, parts, on_step=stop_at(step))
        torch.rand(5)
    train(registry, parts)
    assert state_of(parts) == state_of(whole)
    assert parts.best.read_bytes() == whole.best.read_bytes()


ITEMS = [
    "optimizer/",
    "average/module",
    "average/n_averaged",
    "rng/torch",
    "step",
    "epoch",
    "loss_sum",
    "correct",
    "images",
    "history",
    "weights",
    "buffers",
    "python",
    "numpy",
    "groups",
]
OF_DROPOUT = ("rng/torch",)
OF_NOISE = ("python", "numpy")


class Noisy(nn.Module):
    """Draws on the streams that torch does not know, as a plugin's network may."""

    def __init__(self, classes):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.Linear(8, classes))

    def forward(self, images):
        noise = 1 + (random.random() + np.random.rand()) / 10 if self.training else 1
        return noise * self.layers(images)


@pytest.fixture(scope="module")
def with_noisy(registry):
    spec = dataclasses.replace(
        registry.architectures["mlp"],
        name="noisy",
        build=lambda options: Noisy(options.num_classes),
    )
    entries = [*registry.architectures.entries, Entry(spec, registry.plugins[0])]
    return dataclasses.replace(registry, architectures=Catalog("architecture", entries))


@pytest.fixture(scope="module")
def halves(with_noisy, tmp_path_factory):
    """For a network: the state of a whole training, and the folder of one stopped midway."""

    @cache
    def make(architecture):
        settings = {**EVERYTHING, "architecture": architecture}
        folder = tmp_path_factory.mktemp(architecture)
        whole = make_run(with_noisy, folder / "whole", **settings)
        train(with_noisy, whole)
        parts = make_run(with_noisy, folder / "parts", **settings)
        with pytest.raises(StoppedError):
            train(with_noisy, parts, on_step=stop_at(9))
        return state_of(whole), parts.folder

    return make


def blank(made, item):
    """A checkpoint with one item of its state as if it had not been saved."""
    kinds = {"weights": (".weight", ".bias"), "buffers": (".running_mean", ".running_var")}
    model = {
        n: torch.ones_like(t) if n.endswith(kinds.get(item, "-")) else t
        for n, t in made.model.items()
    }
    extra = {n: torch.zeros_like(t) if n.startswith(item) else t for n, t in made.extra.items()}
    if item == "rng/torch":
        extra[item] = torch.Generator().manual_seed(5).get_state()
    progress = dict(made.state["progress"])
    if item in progress:
        progress[item] = type(progress[item])()
    state = {**made.state, "progress": progress}
    if item in OF_NOISE:
        other = random.Random(5) if item == "python" else np.random.RandomState(5)
        state["random"] = {**state["random"], item: drawn_from(other)}
    if item == "groups":
        groups = [{**group, "weight_decay": 0.0} for group in state["optimizer"]["groups"]]
        state["optimizer"] = {**state["optimizer"], "groups": groups}
    return dataclasses.replace(made, model=model, extra=extra, state=state)


def drawn_from(stream):
    if isinstance(stream, random.Random):
        version, internal, gauss = stream.getstate()
        return [version, list(internal), gauss]
    _, keys, *rest = stream.get_state()
    return [keys.tolist(), *rest]


@pytest.mark.parametrize("item", ITEMS)
def test_each_part_of_the_state_is_needed(with_noisy, tmp_path, item, monkeypatch, halves):
    """The comparison above must fail when one item is blanked, or it proves nothing."""
    from cnnreg.training.saving import resuming

    network = "simple_cnn" if item in OF_DROPOUT else "noisy" if item in OF_NOISE else "resnet20"
    whole, stopped = halves(network)
    parts = open_run(shutil.copytree(stopped, tmp_path / "parts"))

    def blanked(path):
        made = read_checkpoint(path)
        return blank(made, item) if path == parts.last else made

    monkeypatch.setattr(resuming, "read_checkpoint", blanked)
    train(with_noisy, parts)
    assert state_of(parts) != whole


@pytest.mark.parametrize("network", ["resnet20", "noisy"])
def test_nothing_blanked_is_the_same(with_noisy, tmp_path, halves, network):
    whole, stopped = halves(network)
    parts = open_run(shutil.copytree(stopped, tmp_path / "parts"))
    train(with_noisy, parts)
    assert state_of(parts) == whole


def test_what_a_network_draws_in_validation_moves_nothing(registry, tmp_path, monkeypatch):
    """Stopped in its middle, validation is done again from its beginning."""
    settings = {"epochs": 2, "dropout": 0.3}
    whole, evaluate = make_run(registry, tmp_path / "whole", **settings), loop.evaluate
    train(registry, whole)

    def drawing(*arguments, **options):
        torch.rand(7)
        return evaluate(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate", drawing)
    other = make_run(registry, tmp_path / "other", **settings)
    train(registry, other)
    assert state_of(other) == state_of(whole)
