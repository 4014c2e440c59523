"""What a network is made of: parameters, multiply-accumulates, and its table of stages.

Everything is found out by running a copy of the module once on the meta device,
so it costs no arithmetic and works for any module, whoever wrote it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnreg.specs import Shape

from .weightless import weightless

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One row of the table: a layer, or several alike blocks in sequence."""

    name: str
    layer: str  # "3 x Bottleneck 1x1,64 - 3x3,64 - 1x1,256"; "|" sets branches apart
    kernel: str  # the kernels that occur: "1x1, 3x3"
    stride: int
    blocks: int
    output: tuple[int, ...]  # C, H, W or features; empty for a part that only training runs
    parameters: int
    macs: int

    @property
    def size(self) -> str:
        return "x".join(map(str, self.output))


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters, those shared between layers counted once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(model: nn.Module, input_shape: Shape) -> int:
    """Multiply-accumulates of one image's forward pass in evaluation mode."""
    return _trace(model, input_shape).macs


def stages(model: nn.Module, input_shape: Shape) -> list[Stage]:
    """The table a student draws; its parameters and MACs add up to the network's."""
    root = _trace(model, input_shape)
    table: list[Stage] = []
    counted: set[int] = set()
    for row in _rows(root):
        stage = row.stage(counted)
        table += [*_global_pool_between(table, row, stage), stage]
    rest_parameters = count_parameters(model) - sum(stage.parameters for stage in table)
    rest_macs = root.macs - sum(stage.macs for stage in table)
    if rest_parameters or rest_macs:
        rest = {"parameters": rest_parameters, "macs": rest_macs}
        name = type(model).__name__
        layer = "outside of its layers"
        table.append(
            Stage(name=name, layer=layer, kernel="", stride=1, blocks=1, output=(), **rest)
        )
    return table


# --- One run, recorded ----------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Call:
    """A module and what its first call saw; `order` is None if it was never called."""

    name: str
    module: nn.Module
    order: int | None = None
    source: torch.Tensor | None = None  # the input itself: layers that share it are branches
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()
    macs: int = 0
    children: list[_Call] = field(default_factory=list)

    def descendants(self) -> Iterator[_Call]:
        for child in self.children:
            yield child
            yield from child.descendants()


def _trace(model: nn.Module, input_shape: Shape) -> _Call:
    """Run a weightless copy of the model on one image and record every module's call."""
    model = _on_meta(model).eval()
    counter = FlopCounterMode(display=False)
    clock = count()
    calls: dict[str, _Call] = {}
    for name, module in model.named_modules():
        call = calls[name] = _Call(name, module)
        if name:
            calls[name.rpartition(".")[0]].children.append(call)
        _record(call, counter, clock)
    with torch.no_grad(), counter, weightless():
        model(torch.empty(1, *input_shape))
    return calls[""]


def _on_meta(model: nn.Module) -> nn.Module:
    weightless: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    weightless |= {id(buffer): buffer.to("meta") for buffer in model.buffers()}
    return copy.deepcopy(model, weightless)


def _record(call: _Call, counter: FlopCounterMode, clock: Iterator[int]) -> None:
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


# --- From calls to rows ---------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    calls: list[_Call]  # alike blocks in sequence
    folded: list[_Call] = field(default_factory=list)  # norms and the like without a row
    whole: _Call | None = None  # the container that is just this row

    def stage(self, counted: set[int]) -> Stage:
        first, last = self.calls[0], self.calls[-1]
        layers = [layer for call in self.calls for layer in _layers(call)]
        name = self.whole.name if self.whole else first.name
        if not self.whole and first is not last:
            name = f"{first.name}-{last.name.rpartition('.')[2]}"
        text = _describe(last)
        return Stage(
            name=name or type(first.module).__name__,
            layer=text if len(self.calls) == 1 else f"{len(self.calls)} x {text}",
            kernel=", ".join(dict.fromkeys(filter(None, map(_kernel, _layers(last))))),
            stride=max(map(_stride, layers), default=1),
            blocks=len(self.calls),
            output=(self.whole or last).output,
            parameters=sum(_new_parameters(self, counted)),
            macs=sum(call.macs for call in (*self.calls, *self.folded)),
        )


def _new_parameters(row: _Row, counted: set[int]) -> Iterator[int]:
    for call in (*row.calls, *row.folded):
        for parameter in call.module.parameters():
            if parameter.requires_grad and id(parameter) not in counted:
                counted.add(id(parameter))
                yield parameter.numel()


def _rows(opened: _Call) -> list[_Row]:
    """The rows of a module's parts; what has no layer of its own joins the row before."""
    rows: list[_Row] = []
    ahead: list[_Call] = []
    for part in _parts(opened) or [opened]:
        if part is not opened and _is_open(part):
            inner = _rows(part)
            if len(inner) == 1:
                inner[0].whole = part
            rows += inner
        elif not _layers(part):
            (rows[-1].folded if rows else ahead).append(part)
        elif rows and _continues(rows[-1], part):
            rows[-1].calls.append(part)
        else:
            rows.append(_Row([part]))
    if rows:
        rows[0].folded += ahead
    return rows


def _parts(call: _Call) -> list[_Call]:
    """Children in the order of their first call; lists are seen through, for they have no call."""
    parts: list[tuple[float, _Call]] = []
    order = -1.0
    for child in call.children:
        inside = _parts(child) if child.order is None else []
        if any(part.order is not None for part in inside):
            parts += [(part.order or 0, part) for part in inside]
        else:
            order = order + 0.5 if child.order is None else child.order
            parts.append((order, child))
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _layers(call: _Call) -> list[_Call]:
    """What a drawing shows of a module: convolutions, linear layers, pools, in order of use."""
    leaves = [c for c in (call, *call.descendants()) if _is_layer(c)]
    return sorted(leaves, key=lambda c: (c.order is None, c.order or 0))


def _is_layer(call: _Call) -> bool:
    if call.children:
        return False
    resized = len(call.input) == len(call.output) == 3 and call.input[1:] != call.output[1:]
    return isinstance(call.module, (*CONVOLUTIONS, nn.Linear, *POOLS)) or call.macs > 0 or resized


def _is_open(call: _Call) -> bool:
    """Whether a module is drawn as its parts: containers, and what spans several stages."""
    layers = _layers(call)
    if len(layers) < 2 or call.order is None:
        return False
    if type(call.module) in CONTAINERS:
        return True
    parts = _parts(call)
    if any(True for _ in call.module.parameters(recurse=False)):
        return False
    if call.macs != sum(part.macs for part in parts):
        return False
    sizes = {layer.output[1:] for layer in layers if len(layer.output) == 3}
    blocks = [type(part.module) for part in parts if len(_layers(part)) > 1]
    alike = any(a is b and a not in CONTAINERS for a, b in pairwise(blocks))
    return alike or len(sizes - {(1, 1)}) > 2


def _continues(row: _Row, call: _Call) -> bool:
    """Whether the call repeats the row's block. The first block may differ where it must."""
    last = row.calls[-1]
    if row.whole or type(last.module) is not type(call.module) or last.output != call.output:
        return False
    if isinstance(call.module, nn.Linear):
        return False
    if _describe(last) == _describe(call):
        return True
    is_entry = len(row.calls) == 1 and len(_layers(last)) > 1 and last.input != last.output
    strided = last.input[1:] != last.output[1:]
    return is_entry and (strided or _tails(last) == _tails(call))


def _branches(block: _Call) -> list[list[_Call]]:
    """The layers of a block, apart where two start from one tensor or cannot follow."""
    branches: list[list[_Call]] = []
    sources: list[torch.Tensor | None] = [block.source]
    for layer in _layers(block):
        previous = branches[-1][-1] if branches else None
        forks = layer.source is not None and any(layer.source is seen for seen in sources)
        gap = previous and len(layer.input) == 3 and previous.output[:1] != layer.input[:1]
        if previous is None or forks or gap:
            branches.append([])
        branches[-1].append(layer)
        sources.append(layer.source)
    return branches


def _tails(block: _Call) -> set[int]:
    return {branch[-1].output[0] for branch in _branches(block)}


# --- Words ----------------------------------------------------------------------------


def _describe(call: _Call) -> str:
    layers = _layers(call)
    if len(layers) == 1:
        module = layers[0].module
        return f"Conv {_word(layers[0])}" if isinstance(module, CONVOLUTIONS) else _word(layers[0])
    chains = [" - ".join(map(_word, branch)) for branch in _branches(call)]
    kind = type(call.module).__name__.lstrip("_")
    suffix = "" if call.order is not None else " (training only)"
    return f"{kind} {' | '.join(chains)}{suffix}"


def _word(layer: _Call) -> str:
    module = layer.module
    if isinstance(module, CONVOLUTIONS):
        depthwise = module.groups == module.in_channels > 1
        groups = f" ({module.groups} groups)" if module.groups > 1 and not depthwise else ""
        return f"{'dw' if depthwise else ''}{_kernel(layer)},{module.out_channels}{groups}"
    if isinstance(module, nn.Linear):
        return f"Linear {module.out_features}"
    if isinstance(module, nn.AdaptiveAvgPool2d) and layer.output[1:] == (1, 1):
        return "Global average pool"
    return f"{type(module).__name__.removesuffix('2d')} {_kernel(layer)}".strip()


def _kernel(layer: _Call) -> str:
    if isinstance(layer.module, nn.AdaptiveAvgPool2d):
        return "x".join(map(str, layer.input[1:]))
    kernel = getattr(layer.module, "kernel_size", "")
    return f"{kernel}x{kernel}" if isinstance(kernel, int) else "x".join(map(str, kernel))


def _stride(layer: _Call) -> int:
    stride = getattr(layer.module, "stride", 1)
    return int(stride if isinstance(stride, int) else max(stride))


def _global_pool_between(table: list[Stage], row: _Row, stage: Stage) -> list[Stage]:
    """A pool written as a function shows only in that a linear layer takes the channels."""
    source = row.calls[0].input
    before = table[-1].output if table else ()
    if len(before) != 3 or source != before[:1] or before[1:] == (1, 1):
        return []
    size = "x".join(map(str, before[1:]))
    return [
        Stage(
            name=f"before {stage.name}",
            layer="Global pool",
            kernel=size,
            stride=1,
            blocks=1,
            output=source,
            parameters=0,
            macs=0,
        )
    ]
