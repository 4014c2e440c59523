"""Before the first step: whether all fits, and the weights to start from, a file's or published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cnnreg.data import Dataset
from cnnreg.errors import (
    MachineError,
    MissingExtraError,
    ModelFileError,
    PluginError,
    is_out_of_memory,
    one_line,
)
from cnnreg.plugins import blaming
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, RunConfig, open_run
from cnnreg.runs.weights import untrained, weights_contract
from cnnreg.specs import ArchitectureSpec, ModelContract
from cnnreg.texts import composed, listed

from .building import build_model, build_optimizer, memory_format, refuse_unshareable
from .distributed.world import ALONE, World
from .feeding.resizing import check_sizes
from .groups import head_of
from .saving.foreign import copy_fitting, named_as, read_tensors
from .saving.state import optimizer_from_data, optimizer_to_data
from .step import heads, title

IMAGES = 3  # of the step that is tried


def try_out(registry: Registry, config: RunConfig, dataset: Dataset, world: World = ALONE) -> None:
    """Whatever does not fit fails here, before there is a run. Raises as training would."""
    architecture, options = registry.architecture_of(config.contract), config.contract.options()
    model = build_model(architecture, options)
    check_sizes(model, config.recipe, config.contract.input_shape)
    optimizer = build_optimizer(registry, model, config.recipe)
    if config.weights and world.writes:
        start_from(config.weights, architecture, model, config.contract)
    refuse_unshareable(config.recipe, dataset, world)
    what = title(architecture.name, config.recipe)
    with torch.random.fork_rng(devices=[]), blaming(what):
        _try_a_step(what, model, optimizer, config)
        _try_going_on(optimizer, build_optimizer(registry, model, config.recipe), config.recipe)


def _try_a_step(
    what: str, model: nn.Module, optimizer: torch.optim.Optimizer, config: RunConfig
) -> None:
    """One step on three images: a network for batches of two alone passes all that was before.

    In the memory layout of the training, in which not every view of images can be taken.
    """
    contract, layout = config.contract, memory_format(config.recipe.plain())
    model.train().to(memory_format=layout)
    images = torch.randn(IMAGES, *contract.input_shape).to(memory_format=layout)
    before = _shapes(model)
    outputs = heads(model(images))
    expected = IMAGES, contract.num_classes
    if wrong := [tuple(output.shape) for output in outputs if output.shape != expected]:
        raise PluginError(f"{what} gave {wrong[0]}, expected {expected}.")
    torch.stack([output.float().square().mean() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    try:
        optimizer.step()
    except TypeError as error:
        if "closure" not in str(error):
            raise
        hint = "step() is called without a closure: one that needs it cannot train here."
        raise PluginError(f"{what} failed: {one_line(error)}.", hint=hint) from error
    if grown := sorted(name for name, _ in before ^ _shapes(model)):
        raise PluginError(
            f"{what}: '{grown[0]}' has another shape after a step, in which no checkpoint fits it.",
            hint="Register a buffer in the shape that it keeps, or with persistent=False.",
        )


def _shapes(model: nn.Module) -> set[tuple[str, torch.Size]]:
    return {(name, tensor.shape) for name, tensor in model.state_dict().items()}


def _try_going_on(
    optimizer: torch.optim.Optimizer, again: torch.optim.Optimizer, recipe: Recipe
) -> None:
    """What the first has come to must pass through a checkpoint into the second, and do there."""
    try:
        tensors, data = optimizer_to_data(optimizer)
        optimizer_from_data(again, tensors, json.loads(json.dumps(data)))
        again.step()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(
            f"The state of optimizer '{recipe.optimizer}' cannot be saved and restored: "
            f"{one_line(error)}.",
            hint="Keep it in self.state[parameter], under texts, as tensors and plain values; "
            "and plain values alone in the groups.",
        ) from error


class Start(NamedTuple):
    said: str  # what was taken and what was not
    fresh: tuple[str, ...]  # the parameters that are as random as they were


def start_from(
    weights: str, architecture: ArchitectureSpec, model: nn.Module, contract: ModelContract
) -> Start:
    """Copy in what fits by name and shape, but no head that is for other classes.

    Nor of an imported run what its file lacked, which nobody has trained.
    Raises ModelFileError if it is no file of tensors, or as `copy_fitting` does.
    """
    published = weights == PRETRAINED
    state = _published(architecture) if published else _read(Path(weights))
    made_with = None if published else weights_contract(Path(weights))
    own = model.state_dict()
    named = named_as(own, state, architecture.renames)
    strange = frozenset[str]() if published else untrained(Path(weights))
    if (
        made_with
        and made_with.is_named
        and [*map(composed, made_with.classes)] != [*map(composed, contract.classes)]
    ):
        strange |= head_of(architecture, contract.options())
    named = {name: tensor for name, tensor in named.items() if name not in strange}
    where = None if published else weights
    try:
        taken = copy_fitting(model, named, architecture.name, where, but=strange)
    except ModelFileError as error:
        if made_with and made_with.architecture != architecture.name:
            error.hint = f"They are of '{made_with.architecture}'."
        raise
    fresh = [name for name in own if name not in taken and not name.endswith("_tracked")]
    source = "the pretrained weights" if published else Path(weights).name
    if made_with and made_with.architecture != architecture.name:
        source += f", a {made_with.architecture}"
    rest = f"; new: {listed(fresh)}" if fresh else ""
    return Start(
        f"took {len(taken)} of {len(own)} tensors from {source}{rest}",
        tuple(name for name, _ in model.named_parameters() if name not in taken),
    )


def _published(architecture: ArchitectureSpec) -> Mapping[str, Tensor]:
    if architecture.pretrained is None:
        raise PluginError(f"'{architecture.name}' comes without pretrained weights.")
    what = f"Pretrained weights of '{architecture.name}'"
    with blaming(what):
        try:
            state = architecture.pretrained()
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "torchvision", "") from error
        except OSError as error:  # no network, say
            if is_out_of_memory(error):
                raise
            raise MachineError(
                f"The pretrained weights cannot be had: {one_line(error)}.",
                where=Path(torch.hub.get_dir()) / "checkpoints",
                hint="Go online once, or put torchvision's file into that folder.",
            ) from error
    if not isinstance(state, Mapping) or not all(map(torch.is_tensor, state.values())):
        raise PluginError(f"{what} are {type(state).__name__}, no mapping of names to tensors.")
    return state


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a run, of one of its checkpoints, or of any safetensors file."""
    if path.is_dir():
        path = open_run(path).best
    if path.suffix != ".safetensors":
        raise ModelFileError(
            "Weights are read from safetensors files alone: others may hold code.",
            where=path,
            hint="`cnnreg import` makes a run of other files of tensors.",
        )
    return read_tensors(path)
