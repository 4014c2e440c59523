"""Before the first step: whether all fits, and the weights to start from, a file's or published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnreg.data import Dataset
from cnnreg.errors import MachineError, ModelFileError, PluginError
from cnnreg.plugins import blaming, one_line, quiet_stdout
from cnnreg.registry import Registry
from cnnreg.runs import PRETRAINED, RunConfig, open_run
from cnnreg.specs import ArchitectureSpec

from .building import build_model, build_optimizer, refuse_unshareable
from .checkpoint import is_finite
from .distributed import ALONE, World
from .foreign import named_as, read_tensors
from .resizing import check_sizes
from .step import heads, title

IMAGES = 3  # of the step that is tried
LEAST = 0.5  # of the network's numbers: with fewer taken, it is another network's file


def try_out(registry: Registry, config: RunConfig, dataset: Dataset, world: World = ALONE) -> None:
    """Whatever does not fit fails here, before there is a run. Raises as training would."""
    architecture, options = registry.architecture_of(config.contract), config.contract.options()
    model = build_model(architecture, options)
    check_sizes(model, config.recipe, config.contract.input_shape)
    optimizer = build_optimizer(registry, model, config.recipe)
    if config.weights and world.writes:
        start_from(config.weights, architecture, model)
    refuse_unshareable(config.recipe, dataset, world)
    _try_a_step(architecture, model, optimizer, config)


def _try_a_step(
    architecture: ArchitectureSpec,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: RunConfig,
) -> None:
    """One step on three images: a network for batches of two alone passes all that was before."""
    contract = config.contract
    what = title(architecture.name, config.recipe)
    with torch.random.fork_rng(devices=[]), blaming(what):
        outputs = heads(model.train()(torch.randn(IMAGES, *contract.input_shape)))
        expected = IMAGES, contract.num_classes
        if wrong := [tuple(output.shape) for output in outputs if output.shape != expected]:
            raise PluginError(f"{what} gave {wrong[0]}, expected {expected}.")
        torch.stack([output.float().square().mean() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def start_from(weights: str, architecture: ArchitectureSpec, model: nn.Module) -> str:
    """Copy in what fits by name and shape; returns a sentence on what did and what did not.

    Raises ModelFileError if it is no file of tensors, or fits less than half of the network.
    """
    state = _published(architecture) if weights == PRETRAINED else _read(Path(weights))
    own = model.state_dict()
    state = named_as(own, state, architecture.renames)
    fitting = {n: t for n, t in state.items() if n in own and own[n].shape == t.shape}
    taken = sum(own[name].numel() for name in fitting)
    total = sum(tensor.numel() for tensor in own.values())
    where = None if weights == PRETRAINED else weights
    if taken < LEAST * total:
        raise _unfit(architecture.name, own, state, taken / total, where)
    broken = [name for name, tensor in fitting.items() if not is_finite(tensor)]
    if broken:
        raise ModelFileError(f"The weights hold NaN or infinity in '{broken[0]}'.", where=where)
    with torch.no_grad():
        for name, tensor in fitting.items():
            own[name].copy_(tensor)
    fresh = [name for name in own if name not in fitting and not name.endswith("_tracked")]
    source = Path(weights).name if where else "the pretrained weights"
    rest = f"; new: {_listed(fresh)}" if fresh else ""
    return f"took {len(fitting)} of {len(own)} tensors from {source}{rest}"


def _unfit(
    name: str,
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    share: float,
    where: str | None,
) -> ModelFileError:
    """Too little of the network; what is of another shape tells most."""
    other = [n for n, t in state.items() if n in own and own[n].shape != t.shape]
    what = f"These weights are {100 * share:.0f} % of '{name}', by name and shape; half is needed"
    if not other:
        return ModelFileError(f"{what}.", where=where, hint="Were they made for this network?")
    most = max(other, key=lambda n: own[n].numel())
    return ModelFileError(
        f"{what}: {most} is {list(state[most].shape)} there, {list(own[most].shape)} here.",
        where=where,
        hint="Were they trained at another --image-size, or in another --form?",
    )


def _published(architecture: ArchitectureSpec) -> Mapping[str, Tensor]:
    if architecture.pretrained is None:
        raise PluginError(f"'{architecture.name}' comes without pretrained weights.")
    try:
        with quiet_stdout():  # torch says there what it downloads
            return architecture.pretrained()
    except (OSError, RuntimeError, ImportError) as error:  # no network, or a file of another hash
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise MachineError(
            f"The pretrained weights cannot be had: {one_line(error)}.",
            where=cache,
            hint="Go online once, or put torchvision's file into that folder.",
        ) from error


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


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
