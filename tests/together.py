"""What each of two processes does; test_distributed.py starts it and looks at the outcome.

torchrun --nproc-per-node 2 together.py NAME FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from cnnreg.cli import main
from cnnreg.errors import StoppedError
from cnnreg.registry import Catalog, Entry, load_registry
from cnnreg.run_data import data_of_run
from cnnreg.runs import open_run
from cnnreg.training.distributed.launch import joined, run_of_first
from cnnreg.training.distributed.sync_norm import synchronised
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.trainer import run_training
from helpers import make_run


class Tiny(nn.Module):
    """Both kinds of batch norm, in float64: rounding, which training blows up, stays small."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, stride=3),
            nn.BatchNorm2d(8, momentum=None),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(72, 16),
            nn.BatchNorm1d(16, affine=False),
            nn.ReLU(),
            nn.Linear(16, classes),
        ).double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.double())


PLAIN = {
    "architecture": "tiny",
    "batch_size": 16,
    "optimizer": "momentum",
    "learning_rate": 0.05,
    "augment": "crop",
}
RECIPES = {
    "plain": PLAIN,
    "levers": {
        **PLAIN,
        "accumulate": 3,
        "clip": 1.0,
        "ema": 0.9,
        "mixup": 0.2,
        "cutmix": 1.0,
        "erasing": 0.5,
        "zoom": 0.5,
        "rotate": 15.0,
        "colour": 0.3,
        "class_weights": "balanced",
        "label_smoothing": 0.1,
        "freeze": 1,
        "body_rate": 0.5,
    },
}
DROPOUT = {**PLAIN, "architecture": "simple_cnn", "dropout": 0.5}


def registry_with_tiny():
    registry = load_registry()
    own = replace(
        registry.architectures["mlp"], name="tiny", build=lambda options: Tiny(options.num_classes)
    )
    entries = [Entry(own, registry.plugins[0]), registry.architectures.entry("simple_cnn")]
    return replace(registry, architectures=Catalog("architecture", entries))


def small(registry, run):
    """45 training images: batches of 16, 16 and 13, an odd number; 21 to validate on."""
    data = data_of_run(registry, run)
    train, val, test = (
        split.take(count, seed=0)
        for split, count in ((data.train, 45), (data.val, 21), (data.test, 9))
    )
    return replace(data, train=train, val=val, test=test)


def trained(registry, folder: Path, world: World = ALONE, on_step=None, **recipe):
    """The run in `folder`, new or begun. Only the first process is told where it lies."""
    run = None
    if world.writes:
        begun = (folder / "run.json").exists()
        run = open_run(folder) if begun else make_run(registry, folder, **recipe)
    run = run_of_first(run, world)
    if not world.writes:
        run = replace(run, folder=folder / "not-for-this-process")
    data = small(registry, run)
    for _ in run_training(
        registry, run, data, world=world, device="cpu", on_step=on_step or (lambda progress: None)
    ):
        pass
    return run


def norms(world: World, folder: Path) -> None:
    """Three steps on parts of 5 and 2 images: outputs, gradients and running statistics."""
    for momentum in (0.1, None):
        torch.manual_seed(0)
        plain = nn.BatchNorm2d(3, momentum=momentum)
        nn.init.normal_(plain.weight)
        norm = synchronised(plain, world)
        found = {}
        for number in range(3):
            images, wanted = 100 + 5 * torch.randn(7, 3, 4, 4), torch.randn(7, 3, 4, 4)
            cut = slice(0, 5) if world.rank == 0 else slice(5, 7)
            own = images[cut].contiguous(memory_format=torch.channels_last).requires_grad_()
            result = norm(own)
            (result * wanted[cut]).sum().backward()
            found[f"result {number}"] = result.detach()
            found[f"gradient {number}"] = own.grad
        found |= {name: p.grad for name, p in norm.named_parameters()}
        found |= dict(norm.named_buffers())
        save(folder / f"norm-{momentum}-{world.rank}", found)


def stopped_and_resumed(registry, world: World, folder: Path) -> None:
    """A signal reaches the second process alone, in its second step; then they go on."""

    def on_step(progress):
        if world.rank == 1 and progress.step == 2:
            signal.raise_signal(signal.SIGINT)

    trained(registry, folder / "whole", world, **DROPOUT)
    try:
        trained(registry, folder / "parts", world, on_step=on_step, **DROPOUT)
    except StoppedError as stop:
        Path(f"{folder}/stopped-{world.rank}").write_text(f"{stop.exit_code} {stop}")
    torch.manual_seed(99 + world.rank)
    trained(registry, folder / "parts", world)


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def everything(folder: Path) -> None:
    registry = registry_with_tiny()
    with joined() as world:
        torch.set_num_threads(1)
        norms(world, folder)
        for name, recipe in RECIPES.items():
            trained(registry, folder / name, world, **recipe)
        stopped_and_resumed(registry, world, folder)


def faulty(folder: Path) -> None:
    """The second process alone does not find its images."""
    main(["train", "mlp", "--data", str(folder / os.environ["RANK"]), "--image-size", "8"])


if __name__ == "__main__":
    {"everything": everything, "faulty": faulty}[sys.argv[1]](Path(sys.argv[2]))
