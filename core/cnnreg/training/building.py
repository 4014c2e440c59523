"""What a training is made of: the network, its device, and what several processes can share."""

from __future__ import annotations

import os
from hashlib import sha256

import torch
from torch import nn

from cnnreg.data import Dataset
from cnnreg.data.dataset import Split
from cnnreg.errors import DataError, MachineError, PluginError, UsageError, one_line
from cnnreg.networks.savable import unsavable
from cnnreg.plugins import blaming
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec, ModelOptions

from .distributed.world import ALONE, World
from .groups import parameter_groups


def build_model(architecture: ArchitectureSpec, options: ModelOptions) -> nn.Module:
    """Build and try the network on two images. Raises PluginError if it breaks its promise."""
    with blaming(f"Building '{architecture.name}'"):
        model = architecture.build(options)
    if not isinstance(model, nn.Module):
        raise PluginError(f"'{architecture.name}' built {type(model).__name__}, not an nn.Module.")
    with blaming(f"Looking at the tensors of '{architecture.name}'"):
        if complaint := unsavable(model):
            raise PluginError(f"'{architecture.name}' cannot be saved: {complaint}")
    expected = (2, options.num_classes)
    height, width = options.input_shape[1:]
    with torch.no_grad(), blaming(f"'{architecture.name}' on images of {height}x{width}"):
        output = model.eval()(torch.zeros(2, *options.input_shape))
    found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if found != expected:
        raise PluginError(f"'{architecture.name}' returned {found}, expected {expected}.")
    return model


def build_optimizer(
    registry: Registry, model: nn.Module, recipe: Recipe, head: frozenset[str] = frozenset()
) -> torch.optim.Optimizer:
    """Raises UsageError or PluginError if the optimizer does not take the recipe."""
    groups = parameter_groups(model, recipe, head)
    with blaming(f"Optimizer '{recipe.optimizer}'"):
        optimizer = registry.optimizers[recipe.optimizer].build(groups, recipe)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise PluginError(
            f"Optimizer '{recipe.optimizer}' is no torch.optim.Optimizer but "
            f"{type(optimizer).__name__}."
        )
    return optimizer


def choose_device(name: str, world: World = ALONE) -> torch.device:
    """A GPU each for several processes. Raises MachineError if the device is not there."""
    name = name.lower()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if world.size > 1 and name.startswith("cuda:"):
        raise UsageError(
            f"{name} is one device, not one for each of {world.size} processes.",
            hint="Use --device cuda, and CUDA_VISIBLE_DEVICES to choose among them.",
        )
    if world.size > 1 and name == "cuda":
        name = f"cuda:{world.local_rank}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        unknown = "Expected one of" in str(error)  # and a list of what torch has names for
        why = "" if unknown else f": {one_line(error).split('. ')[0]:.120}"
        raise MachineError(
            f"There is no device '{name}' here{why}.",
            hint="Use --device cpu; devices other than cpu and cuda are for exports.",
        ) from error
    return device


def device_text(device: torch.device) -> str:
    """What a training runs on, as a person calls it."""
    if device.type != "cuda":
        return "the processor" if device.type == "cpu" else str(device)
    index = torch.cuda.current_device() if device.index is None else device.index
    return f"cuda:{index} ({torch.cuda.get_device_name(index)})"


def memory_format(recipe: Recipe) -> torch.memory_format:
    contiguous = recipe.layout == "contiguous"
    return torch.contiguous_format if contiguous else torch.channels_last


def _kept(split: Split) -> str:
    """A digest of the images that can be read and of their labels, wherever the folder lies."""
    names = (name for _, name in split.listing)
    named = dict(zip(split.samples.files, names, strict=True))
    digest = sha256(split.labels.astype("<i8").tobytes())
    for file in split.files:
        digest.update(os.fsencode(f"{named[file]}\n"))
    return digest.hexdigest()


def refuse_unshareable(recipe: Recipe, dataset: Dataset, world: World) -> None:
    """Raises before the work what several processes cannot train on."""
    if world.size == 1:
        return
    images = dataset.fingerprint + _kept(dataset.train) + _kept(dataset.val)
    if world.from_first(images.encode()).decode() != images:
        raise DataError("The images here, or those that can be read, are not the first process's.")
    if min(recipe.batch_size // recipe.accumulate, len(dataset.train)) < world.size:
        raise UsageError(
            f"{world.size} processes need at least as many training images, and a --batch-size "
            f"of {world.size * recipe.accumulate} or more, not {recipe.batch_size}."
        )
