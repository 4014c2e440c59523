"""One run of a network, recorded: which modules were called, in what order, with which shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnreg.networks.weightless import ran
from cnnreg.specs import Shape

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


@dataclass(slots=True, eq=False)
class Call:
    """A module and what its first call saw; `order` is None if it was never called."""

    name: str
    module: nn.Module
    order: int | None = None
    source: torch.Tensor | None = None  # the input itself: layers that share it are branches
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()
    macs: int = 0
    children: list[Call] = field(default_factory=list)

    def descendants(self) -> Iterator[Call]:
        for child in self.children:
            yield child
            yield from child.descendants()

    def parts(self) -> list[Call]:
        """Children in the order of their first call; lists, which have none, are seen through."""
        parts: list[tuple[float, Call]] = []
        order = -1.0
        for child in self.children:
            inside = child.parts() if child.order is None else []
            if any(part.order is not None for part in inside):
                parts += [(part.order or 0, part) for part in inside]
            else:
                order = order + 0.5 if child.order is None else child.order
                parts.append((order, child))
        return [part for _, part in sorted(parts, key=lambda pair: pair[0])]

    def layers(self) -> list[Call]:
        """What a drawing shows: convolutions, linear layers, pools, in order of use."""
        leaves = [call for call in (self, *self.descendants()) if call.is_layer]
        return sorted(leaves, key=lambda call: (call.order is None, call.order or 0))

    def branches(self) -> list[list[Call]]:
        """The layers, apart where two start from one tensor or cannot follow."""
        branches: list[list[Call]] = []
        sources: list[torch.Tensor | None] = [self.source]
        for layer in self.layers():
            previous = branches[-1][-1] if branches else None
            forks = layer.source is not None and any(layer.source is seen for seen in sources)
            gap = previous and len(layer.input) == 3 and previous.output[:1] != layer.input[:1]
            if previous is None or forks or gap:
                branches.append([])
            branches[-1].append(layer)
            sources.append(layer.source)
        return branches

    @property
    def is_layer(self) -> bool:
        if self.children:
            return False
        resized = len(self.input) == len(self.output) == 3 and self.input[1:] != self.output[1:]
        shown = isinstance(self.module, (*CONVOLUTIONS, nn.Linear, *POOLS))
        return shown or self.macs > 0 or resized


def trace(model: nn.Module, input_shape: Shape) -> Call:
    """Run a copy of the model on one image and record every module's call."""
    return ran(model, (1, *input_shape), _recorded)


def _recorded(model: nn.Module, images: torch.Tensor) -> Call:
    counter = FlopCounterMode(display=False)
    clock = count()
    calls: dict[str, Call] = {}
    for name, module in model.named_modules():
        call = calls[name] = Call(name, module)
        if name:
            calls[name.rpartition(".")[0]].children.append(call)
        _record(call, counter, clock)
    with torch.no_grad(), counter:
        model.eval()(images)
    return calls[""]


def _record(call: Call, counter: FlopCounterMode, clock: Iterator[int]) -> None:
    def enter(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if call.order is None:
            call.order = next(clock)
            call.source = _first_tensor(inputs)
            call.input = _shape(call.source)
        call.macs -= counter.get_total_flops() // 2

    def leave(_: nn.Module, __: tuple[Any, ...], outputs: Any) -> None:
        call.output = call.output or _shape(_first_tensor(outputs))
        call.macs += counter.get_total_flops() // 2

    call.module.register_forward_pre_hook(enter)
    call.module.register_forward_hook(leave)


def _first_tensor(value: Any) -> torch.Tensor | None:
    if isinstance(value, torch.Tensor):
        return value
    items: Iterable[Any] = value.values() if isinstance(value, dict) else value
    if isinstance(value, (dict, list, tuple)):
        return next((found for item in items if (found := _first_tensor(item)) is not None), None)
    return None


def _shape(tensor: torch.Tensor | None) -> tuple[int, ...]:
    return () if tensor is None else tuple(tensor.shape[1:])
