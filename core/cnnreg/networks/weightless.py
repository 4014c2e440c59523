"""Networks without the numbers that torch draws for them, where nobody looks at those.

In memory, drawing weights takes ten times as long as all else, and memory that nothing is
written to costs next to nothing: so networks are built there, and lie on torch's meta device,
where they are their shapes alone, only then. Built on it, what a plugin keeps for later would be
left without numbers too.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional, init
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

T = TypeVar("T")
Answer = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

FILLINGS = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_})
RANDOM = frozenset(
    {
        *(init.kaiming_normal_, init.kaiming_uniform_, init.normal_, init.uniform_),
        *(Tensor.normal_, Tensor.uniform_),  # of which the other functions of `init` are made
    }
)


def built_weightless(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes, as shapes; one that looks at its weights is built with them first."""
    with torch.random.fork_rng(devices=[]):
        with suppress(Exception), _Instead(_unwritten), _imports_as_ever():
            return without_weights(build())
        return without_weights(build())


def without_weights(model: nn.Module) -> nn.Module:
    """A copy on torch's meta device; the network itself where it cannot be copied."""
    return _copied(model, lambda tensor: tensor.detach().to("meta"))


def ran(model: nn.Module, shape: tuple[int, ...], run: Callable[[nn.Module, Tensor], T]) -> T:
    """What comes of `run`ning a copy of the network on images of that shape [N, C, H, W].

    Both are shapes alone, or zeros where it has tensors of its own, which no device holds. A
    network that cannot be copied is run itself.
    """
    with torch.random.fork_rng(devices=[]):
        with suppress(Exception), _Instead(_shapes):
            return run(without_weights(model), torch.empty(shape, device="meta"))
        return run(_with_zeros(model), torch.zeros(shape))


def _with_zeros(model: nn.Module) -> nn.Module:
    """A copy with numbers where there were shapes alone."""
    return _copied(
        model,
        lambda tensor: torch.zeros_like(tensor, device="cpu") if tensor.is_meta else tensor.clone(),
    )


def _copied(model: nn.Module, change: Callable[[Tensor], Tensor]) -> nn.Module:
    numbers: dict[int, Any] = {
        id(p): nn.Parameter(change(p.detach()), requires_grad=p.requires_grad)
        for p in model.parameters()
        if not is_lazy(p)
    }
    numbers |= {id(buffer): change(buffer) for buffer in model.buffers() if not is_lazy(buffer)}
    try:
        return copy.deepcopy(model, numbers)
    except Exception:  # noqa: BLE001 - of a tensor that was computed, or a lock, say
        return model


@contextmanager
def _imports_as_ever() -> Iterator[None]:
    """What is imported inside is imported as ever: the tensors of a module outlive this."""
    finder = _FindsAsOthers()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _FindsAsOthers(MetaPathFinder):
    """Finds what the finders behind it find, and has it executed outside of all modes of torch."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        path_now = [*sys.meta_path]  # another thread may be about to take us out
        behind = path_now[path_now.index(self) + 1 :] if self in path_now else path_now
        finds = (getattr(finder, "find_spec", None) for finder in behind)
        spec = next(filter(None, (find(fullname, path, target) for find in finds if find)), None)
        loader: Any = spec and spec.loader
        execute = getattr(loader, "exec_module", None)
        # One that is a class would stay changed.
        if execute and not isinstance(loader, type) and not isinstance(execute, partial):
            with suppress(AttributeError):  # it takes none
                loader.exec_module = partial(_as_ever, execute)
        return spec


def _as_ever(execute: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Outside of the modes that are on; what the module turns on itself is its own."""
    modes = []
    while torch._C._len_torch_function_stack():
        modes.append(torch._C._pop_torch_function_stack())
    try:
        execute(module)
    finally:
        for mode in reversed(modes):
            torch._C._push_on_torch_function_stack(mode)


def built_undrawn(build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes, with zeros where parameters are drawn at random, if that is all it draws.

    Whatever else is random must come out as ever: a network that draws more, or that cannot be
    built of zeros, is built as it is.
    """
    stream = torch.get_rng_state()
    with suppress(Exception), _Instead(_zeros), _imports_as_ever():
        model = build()
        if torch.equal(stream, torch.get_rng_state()):
            return model
    torch.set_rng_state(stream)
    return build()


class _Instead(TorchFunctionMode):
    """Functions of torch are answered by `answer`, but for those of which it makes nothing."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        answer = self.answer(func, args, kwargs)
        return func(*args, **kwargs) if answer is NotImplemented else answer


def _unwritten(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Parameters stay as the memory was that they got."""
    if func in FILLINGS or getattr(func, "__module__", None) == init.__name__:
        filled = _filled(args, kwargs)
        refused = func in FILLINGS and _is_recorded(filled)
        if isinstance(filled, nn.Parameter) and not refused:
            return filled
    return NotImplemented


def _shapes(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Batch norms, of which the meta device works out a millisecond of Python."""
    return _batch_norm(*args, **kwargs) if func is functional.batch_norm else NotImplemented


def _zeros(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if func in RANDOM and isinstance(filled := _filled(args, kwargs), nn.Parameter):
        return init.zeros_(filled)
    return NotImplemented


def _filled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args[0] if args else kwargs["tensor"]


def _is_recorded(tensor: Tensor) -> bool:
    """Gradients are recorded, so it must not be filled; functions of `init` see to that."""
    return torch.is_grad_enabled() and tensor.requires_grad and tensor.is_leaf


def _batch_norm(
    images: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *others: Any,
    **options: Any,
) -> Tensor:
    """The same shape, and the same parameters take part; what torch refuses it refuses here."""
    channels = images.shape[1]
    training = others[0] if others else options.get("training", False)
    refused = training and images.numel() <= channels
    plain = all(
        tensor is not None and tensor.numel() == channels and tensor.dtype == images.dtype
        for tensor in (mean, variance, weight, bias)
    )
    if refused or not plain or weight is None or bias is None or not images.is_meta:
        return functional.batch_norm(images, mean, variance, weight, bias, *others, **options)
    sides = (1, -1, *[1] * (images.ndim - 2))
    return images * weight.view(sides) + bias.view(sides)
