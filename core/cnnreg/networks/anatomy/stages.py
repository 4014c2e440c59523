"""The table of stages: alike blocks in sequence are one row, and norms join the row before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from torch import nn

from cnnreg.specs import Shape

from .calls import Call, trace
from .words import describe, kernel, stride

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


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
    return trace(model, input_shape).macs


def stages(model: nn.Module, input_shape: Shape) -> list[Stage]:
    """The table a student draws; its parameters and MACs add up to the network's."""
    root = trace(model, input_shape)
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


@dataclass(slots=True)
class _Row:
    calls: list[Call]  # alike blocks in sequence
    folded: list[Call] = field(default_factory=list)  # norms and the like without a row
    whole: Call | None = None  # the container that is just this row

    def stage(self, counted: set[int]) -> Stage:
        first, last = self.calls[0], self.calls[-1]
        layers = [layer for call in self.calls for layer in call.layers()]
        name = self.whole.name if self.whole else first.name
        if not self.whole and first is not last:
            name = f"{first.name}-{last.name.rpartition('.')[2]}"
        text = describe(last)
        return Stage(
            name=name or type(first.module).__name__,
            layer=text if len(self.calls) == 1 else f"{len(self.calls)} x {text}",
            kernel=", ".join(dict.fromkeys(filter(None, map(kernel, last.layers())))),
            stride=max(map(stride, layers), default=1),
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


def _rows(opened: Call) -> list[_Row]:
    """The rows of a module's parts; what has no layer of its own joins the row before."""
    rows: list[_Row] = []
    ahead: list[Call] = []
    for part in opened.parts() or [opened]:
        if part is not opened and _is_open(part):
            inner = _rows(part)
            if len(inner) == 1:
                inner[0].whole = part
            rows += inner
        elif not part.layers():
            (rows[-1].folded if rows else ahead).append(part)
        elif rows and _continues(rows[-1], part):
            rows[-1].calls.append(part)
        else:
            rows.append(_Row([part]))
    if rows:
        rows[0].folded += ahead
    return rows


def _is_open(call: Call) -> bool:
    """Whether a module is drawn as its parts: containers, and what spans several stages."""
    layers = call.layers()
    if len(layers) < 2 or call.order is None:
        return False
    if type(call.module) in CONTAINERS:
        return True
    parts = call.parts()
    if any(True for _ in call.module.parameters(recurse=False)):
        return False
    if call.macs != sum(part.macs for part in parts):
        return False
    sizes = {layer.output[1:] for layer in layers if len(layer.output) == 3}
    blocks = [type(part.module) for part in parts if len(part.layers()) > 1]
    alike = any(a is b and a not in CONTAINERS for a, b in pairwise(blocks))
    return alike or len(sizes - {(1, 1)}) > 2


def _continues(row: _Row, call: Call) -> bool:
    """Whether the call repeats the row's block. The first block may differ where it must."""
    last = row.calls[-1]
    if row.whole or type(last.module) is not type(call.module) or last.output != call.output:
        return False
    if isinstance(call.module, nn.Linear):
        return False
    if describe(last) == describe(call):
        return True
    is_entry = len(row.calls) == 1 and len(last.layers()) > 1 and last.input != last.output
    strided = last.input[1:] != last.output[1:]
    return is_entry and (strided or _tails(last) == _tails(call))


def _tails(block: Call) -> set[int]:
    return {branch[-1].output[0] for branch in block.branches()}


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
