"""The network as a graph: captured once by torch.export, then translated by each format.

Capture refuses what a trace would silently bake in: a fixed batch size, or the
branch that the example image happened to take.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from io import StringIO
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode, is_concrete_int

from cnnreg import CnnregError, ExportRequest, GateError, ModelContract
from cnnreg.specs import Shape

from .preprocess import Preprocess

Made = TypeVar("Made")

BATCH = {0: "batch"}
PICTURES = {0: "batch", 1: "height", 2: "width"}


def kept(request: ExportRequest, name: str, make: Callable[[], Made]) -> Made:
    """What `make` makes of the request's network, made once for all files of that network.

    Who changes it must change a copy.
    """
    key = f"cnnreg_export {name}"
    if key not in request.kept:
        request.kept[key] = make()
    made: Made = request.kept[key]
    return made


def captured(request: ExportRequest) -> ExportedProgram:
    """The forward pass for any number of images. Raises GateError."""
    shape = request.contract.input_shape
    return kept(request, "captured", lambda: capture(request.model, shape))


def capture(model: nn.Module, shape: Shape) -> ExportedProgram:
    """The forward pass for images [batch, *shape], any batch. Raises GateError."""
    # Two images, contiguous: a batch of one, or channels-last memory, would be fixed for good.
    return _captured(model, torch.zeros(2, *shape), BATCH)


def capture_preprocessing(contract: ModelContract, *, resize: bool) -> ExportedProgram:
    """From uint8 RGB [batch, height, width, 3] to the network's input; without `resize` of its
    own size alone."""
    _, height, width = contract.input_shape
    sides = (height + 3, width + 5) if resize else (height, width)  # sides that differ stay apart
    example = torch.zeros(2, *sides, 3, dtype=torch.uint8)
    return _captured(Preprocess(contract, resize=resize), example, PICTURES if resize else BATCH)


def _captured(model: nn.Module, example: Tensor, free: dict[int, str]) -> ExportedProgram:
    dynamic = {place: Dim(name) for place, name in free.items()}
    try:
        return _exported(model.eval(), example, dynamic)
    except Exception as error:
        what, hint = _explain(error)
        layer = _layer_of(error, model) or _specializing_layer(model, example, dynamic)
        raise GateError(f"Cannot export{layer}: {what}.", hint=hint) from error


@contextmanager
def translation(program: ExportedProgram, title: str) -> Iterator[None]:
    """Turn a converter's failure into one line that names the operator and its layer."""
    try:
        yield
    except (CnnregError, OSError):  # a disk that is full says nothing about the network
        raise
    except Exception as error:
        if culprit := _operator_in(_messages(error), program):
            operator, layer = culprit
            raise GateError(
                f"{title} has no operator for {operator}{layer}.",
                hint="Write that layer with operators of torch itself, or use another format.",
            ) from error
        raise GateError(
            f"{title} cannot hold this network: {_first_line(error)}.",
            hint="Try another format or precision.",
        ) from error


def _exported(model: nn.Module, example: Tensor, dynamic: dict[int, Dim]) -> ExportedProgram:
    # On failing, torch prints the half of the graph that it has, to stderr and not to a log.
    with torch.no_grad(), redirect_stderr(StringIO()) as said:
        program = torch.export.export(model, (example,), dynamic_shapes=(dynamic,))
    sys.stderr.write(said.getvalue())
    return program


def _explain(error: Exception) -> tuple[str, str]:
    message = str(error)
    if isinstance(error, GuardOnDataDependentSymNode) or "data-dependent" in message:
        return (
            "its forward pass branches on the values of a tensor",
            "Use torch.where instead of `if` on a tensor.",
        )
    if "Constraints violated (batch)" in message:
        return (
            "its forward pass fixes the number of images in a batch",
            "Take it from x.shape[0], or use x.flatten(1).",
        )
    return _first_line(error), ""


def _layer_of(error: Exception, model: nn.Module) -> str:
    """The innermost layer whose code was running when the error arose."""
    names = {id(module): name for name, module in model.named_modules() if name}
    running = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    layers = [module for module in running if isinstance(module, nn.Module) and id(module) in names]
    return _told(names[id(layers[-1])], layers[-1]) if layers else ""


def _specializing_layer(model: nn.Module, example: Tensor, dynamic: dict[int, Dim]) -> str:
    """The innermost layer after which the number of images is no longer free.

    Export tells of it only when all is over; so it is watched a second time.
    """
    sizes: list[Any] = []
    found: list[str] = []

    def begin(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes.append(inputs[0].shape[0])

    def after(name: str) -> Callable[..., None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if sizes and not found and is_concrete_int(sizes[0]):
                found.append(_told(name, module))

        return look

    hooks = [model.register_forward_pre_hook(begin)]
    hooks += [m.register_forward_hook(after(name)) for name, m in model.named_modules() if name]
    try:
        with suppress(Exception):
            _exported(model, example, dynamic)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def _told(name: str, layer: nn.Module) -> str:
    return f" layer '{name}' ({type(layer).__name__})"


def _operator_in(message: str, program: ExportedProgram) -> tuple[str, str] | None:
    """The first operator of the graph that the message names, and where it is used."""
    for node in program.graph.nodes:
        operator = str(node.target)
        if node.op == "call_function" and operator in message:
            layer, kind = next(reversed(node.meta["nn_module_stack"].values()))
            place = f" in layer '{layer}' ({kind.rpartition('.')[2]})" if layer else ""
            return operator, place
    return None


def _messages(error: BaseException | None) -> str:
    """The texts of an error and of all that caused it."""
    return f"{error}\n{_messages(error.__cause__)}" if error else ""


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
