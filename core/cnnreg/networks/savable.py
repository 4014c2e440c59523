"""What a file of tensors by name cannot hold of a network, found before there is work to lose."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def unsavable(model: nn.Module) -> str:
    """What is wrong with it, as a sentence; empty where a checkpoint can hold its state."""
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            return f"'{name}' is no tensor, and nothing else of a network's state is saved."
        if is_lazy(value):
            return f"'{name}' has no shape before the first images: saved weights would not fit it."
        if "/" in name:
            return f"'{name}': a tensor's name must not hold '/'."
    if complaint := _of_buffers(model):
        return complaint
    if name := _lies_on_another(model):
        return (
            f"'{name}' lies on another tensor's memory: to tie them, assign the parameter itself."
        )
    return ""


def _of_buffers(model: nn.Module) -> str:
    kept = model.state_dict(keep_vars=True)
    for name, buffer in model.named_buffers():
        if name not in kept:
            continue
        if any(
            step == 0 for step, size in zip(buffer.stride(), buffer.shape, strict=True) if size > 1
        ):
            return f"'{name}' is expanded, one number for many: register it as .contiguous()."
        if not buffer.isfinite().all():
            return (
                f"'{name}' holds infinity or NaN, as weights do that have diverged: register it "
                "with persistent=False."
            )
    return ""


def _lies_on_another(model: nn.Module) -> str:
    """One parameter of two names stays one; two on the same memory are parted by training."""
    taken: dict[int, Tensor] = {}  # by place in memory: which of the numbers there are someone's
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in taken:
            numbers = memory.nbytes() // tensor.element_size()
            taken[memory.data_ptr()] = torch.zeros(numbers, dtype=torch.bool)
        own = taken[memory.data_ptr()].as_strided(
            tensor.shape, tensor.stride(), tensor.storage_offset()
        )
        if own.any():
            return name
        own.fill_(True)
    return ""
