"""The complete state of a training, to and from a checkpoint.

Restored in the order that exactness needs: weights, optimizer, progress, and
the random streams last, just before the first batch.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnreg.specs import ModelContract

from .checkpoint import Checkpoint
from .progress import Progress

OPTIMIZER = "optimizer/"
RNG = "rng/"


def capture(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    contract: ModelContract,
) -> Checkpoint:
    tensors, optimizer_state = _optimizer_to_data(optimizer)
    random_tensors, random_state = _random_to_data()
    return Checkpoint(
        contract=contract,
        model=model.state_dict(),
        state={
            "progress": progress.to_data(),
            "optimizer": optimizer_state,
            "random": random_state,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
        },
        extra=tensors | random_tensors,
    )


def restore(checkpoint: Checkpoint, optimizer: torch.optim.Optimizer) -> tuple[Progress, list[str]]:
    """Bring back everything but the weights; returns notes on what keeps it from being exact."""
    _optimizer_from_data(optimizer, checkpoint)
    progress = Progress.from_data(checkpoint.state["progress"])
    _random_from_data(checkpoint)
    here = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    notes = [
        f"not bit-exact: {name} was {checkpoint.state[name]}, is {value}"
        for name, value in here.items()
        if checkpoint.state[name] != value
    ]
    return progress, notes


def _optimizer_to_data(
    optimizer: torch.optim.Optimizer,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
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


def _optimizer_from_data(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    data = checkpoint.state["optimizer"]
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*checkpoint.extra.items(), *data["values"].items()]:
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


def _random_to_data() -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {f"{RNG}torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"{RNG}cuda{index}"] = state
    version, internal, gauss = random.getstate()
    _, keys, *rest = np.random.get_state()
    return tensors, {
        "python": [version, list(internal), gauss],
        "numpy": [np.asarray(keys).tolist(), *rest],
    }


def _random_from_data(checkpoint: Checkpoint) -> None:
    version, internal, gauss = checkpoint.state["random"]["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, *rest = checkpoint.state["random"]["numpy"]
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(checkpoint.extra[f"{RNG}torch"])
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if (state := checkpoint.extra.get(f"{RNG}cuda{index}")) is not None:
            torch.cuda.set_rng_state(state, index)
