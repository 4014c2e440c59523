"""The complete state of a training, to and from a checkpoint.

Restored in the order that exactness needs: weights, optimizer, progress, and
the random streams last, just before the first batch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnnreg.specs import ModelContract
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.step import Trainee

from .checkpoint import Checkpoint
from .progress import Progress

OPTIMIZER = "optimizer/"
AVERAGE = "average/"
RNG = "rng/"


def seed_streams(seed: int) -> None:
    """Begin all random streams that `capture` saves: a network of a plugin may draw on any."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def streams_kept() -> Iterator[None]:
    """What is drawn inside leaves those streams as they were."""
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        every = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
        with torch.random.fork_rng(devices=every):  # unless told, torch warns of several
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)


def capture(
    trainee: Trainee,
    progress: Progress,
    contract: ModelContract,
    made_with: dict[str, Any] | None = None,
    world: World = ALONE,
) -> Checkpoint:
    """Called in all processes at once; each has random streams of its own.

    `made_with` is what else decides the numbers, to be compared when going on.
    """
    tensors, optimizer_state = optimizer_to_data(trainee.optimizer)
    random_tensors, random_state = _random_to_data(_device_of(trainee), world)
    average = trainee.average.state_dict() if trainee.average else {}
    return Checkpoint(
        contract=contract,
        model=trainee.model.state_dict(),
        state={
            "progress": progress.to_data(),
            "optimizer": optimizer_state,
            "random": random_state,
            "made_with": made_with or {},
        },
        extra=tensors | random_tensors | {f"{AVERAGE}{k}": v for k, v in average.items()},
    )


def restore(checkpoint: Checkpoint, trainee: Trainee, world: World = ALONE) -> Progress:
    """Bring back everything but the weights."""
    if trainee.average:
        names = trainee.average.state_dict()
        trainee.average.load_state_dict({k: checkpoint.extra[f"{AVERAGE}{k}"] for k in names})
    optimizer_from_data(trainee.optimizer, checkpoint.extra, checkpoint.state["optimizer"])
    progress = Progress.from_data(checkpoint.state["progress"])
    _random_from_data(checkpoint, _device_of(trainee), world)
    return progress


def optimizer_to_data(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Its tensors by name, and the rest of its state, JSON-ready if the optimizer keeps to that."""
    state = optimizer.state_dict()
    tensors, plain = {}, {}
    for index, values in state["state"].items():
        for key, value in values.items():
            name = f"{OPTIMIZER}{index}/{key}"
            if isinstance(value, Tensor):
                tensors[name] = value
            else:
                plain[name] = value
    return tensors, {"groups": state["param_groups"], "values": plain}


def optimizer_from_data(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], data: dict[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *data["values"].items()]:
        if name.startswith(OPTIMIZER):
            index, key = name.removeprefix(OPTIMIZER).split("/", 1)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": data["groups"]})
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # Fused kernels walk parameter and state side by side in memory; a file
                # brings the state back row by row even for channels-last weights.
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def part_streams(seed: int, world: World) -> None:
    """Give each process but the first a torch stream of its own: dropout must differ."""
    if world.rank:
        random_seed = np.random.SeedSequence((seed, world.rank)).generate_state(1, np.uint64)
        torch.manual_seed(int(random_seed[0] >> np.uint64(1)))


def _device_of(trainee: Trainee) -> torch.device:
    return next(trainee.model.parameters()).device


def _random_to_data(device: torch.device, world: World) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The streams of this process's own device, whichever GPU it may go on with."""
    own = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)
    tensors = {f"{RNG}{kind}": state for kind, state in own.items()}
    for kind, stream in own.items() if world.size > 1 else ():
        for rank, state in enumerate(world.gathered(stream)):
            tensors[f"{RNG}{kind}/{rank}"] = state
    version, internal, gauss = random.getstate()
    _, keys, *rest = np.random.get_state()
    return tensors, {
        "python": [version, list(internal), gauss],
        "numpy": [np.asarray(keys).tolist(), *rest],
    }


def _random_from_data(checkpoint: Checkpoint, device: torch.device, world: World) -> None:
    version, internal, gauss = checkpoint.state["random"]["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, *rest = checkpoint.state["random"]["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))
    made_with = checkpoint.state.get("made_with") or {}
    if world.size > 1 and made_with.get("processes") == world.size:
        whose = f"/{world.rank}"
    elif world.rank:  # as many processes as before have their streams, others new ones
        return
    else:
        whose = ""
    torch.set_rng_state(checkpoint.extra[f"{RNG}torch{whose}"])
    # Older versions kept the stream of each GPU, by its number.
    for name in (f"cuda{whose}", f"cuda{device.index}") if device.type == "cuda" else ():
        if (stream := checkpoint.extra.get(f"{RNG}{name}")) is not None:
            torch.cuda.set_rng_state(stream, device)
            return
