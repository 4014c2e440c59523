"""Tensors of files that were made elsewhere: read, given a network's names, and copied in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn

from cnnreg.errors import ModelFileError, one_line
from cnnreg.runs.weights import MAX_HEADER_BYTES
from cnnreg.specs import Renames

from .checkpoint import MAX_TENSORS, is_finite, looks_like, read_content

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
"""What DataParallel, torch.compile and the wrappers of training frameworks put before a name."""

LEAST = 0.5  # of the network's numbers: with fewer taken, it is another network's file


def is_safetensors(start: bytes) -> bool:
    """Whether a file begins as one; `start` is 9 bytes of it or more."""
    return int.from_bytes(start[:8], "little") <= MAX_HEADER_BYTES and start[8:9] == b"{"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Raises ModelFileError for anything but a whole safetensors file of sensible size."""
    content = read_content(path)
    if not is_safetensors(content[:9]):
        raise ModelFileError(f"Not a safetensors file: {looks_like(content)}", where=path)
    try:
        tensors: dict[str, Tensor] = safetensors.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(
            f"Not a whole safetensors file: {one_line(error)[:200]}.",
            where=path,
            hint="Is it cut short? Fetch it again.",
        ) from error
    if len(tensors) > MAX_TENSORS:
        raise ModelFileError(f"The file holds more than {MAX_TENSORS} tensors.", where=path)
    return tensors


def named_as(
    known: Iterable[str], tensors: Mapping[str, Tensor], renames: Renames = ()
) -> dict[str, Tensor]:
    """The tensors by the names that the network `known`; what it does not know keeps its own."""
    wanted = frozenset(known)
    named = {name: tensor for name, tensor in tensors.items() if name in wanted}
    for name, tensor in tensors.items():
        if name not in wanted:
            own = next((form for form in forms_of(name, renames) if form in wanted), name)
            named[name if own in named else own] = tensor
    return named


def forms_of(name: str, renames: Renames = ()) -> Iterator[str]:
    """What a name may stand for: itself, renamed, and both without one prefix after another."""
    prefix: str | None = ""
    while prefix is not None:
        name = name.removeprefix(prefix)
        yield name
        renamed = name
        for pattern, replacement in renames:
            renamed = re.sub(pattern, replacement, renamed)
        yield renamed
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)


def copy_fitting(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    name: str,
    where: Path | str | None,
    *,
    but: Collection[str] = (),
) -> list[str]:
    """Copy in what has the network's names and shapes, as its own kind of number; says which.

    Raises ModelFileError, and changes nothing, if that is less than half of the network, all
    `but` what is left out on purpose, or holds no finite numbers. `name` and `where` are for
    messages.
    """
    own = {n: tensor for n, tensor in model.state_dict().items() if n not in but}
    fitting = [n for n in own if n in tensors and tensors[n].shape == own[n].shape]
    taken, total = (sum(own[n].numel() for n in names) for names in (fitting, own))
    if not fitting or taken < LEAST * total:
        raise _unfit(name, own, tensors, taken / max(1, total), where)
    for n in fitting:
        if tensors[n].is_complex() and not own[n].is_complex():
            raise ModelFileError(f"The weights hold complex numbers in '{n}'.", where=where)
        if not is_finite(tensors[n].to(own[n].dtype)):
            raise ModelFileError(f"The weights hold NaN or infinity in '{n}'.", where=where)
    with torch.no_grad():
        for n in fitting:
            own[n].copy_(tensors[n])
    return fitting


def _unfit(
    name: str,
    own: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    share: float,
    where: Path | str | None,
) -> ModelFileError:
    """Too little of the network; what is of another shape tells most."""
    other = [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    what = f"These weights are {100 * share:.0f} % of '{name}', by name and shape; half is needed"
    if not other:
        return ModelFileError(f"{what}.", where=where, hint="Were they made for this network?")
    most = max(other, key=lambda n: own[n].numel())
    return ModelFileError(
        f"{what}: {most} is {list(tensors[most].shape)} there, {list(own[most].shape)} here.",
        where=where,
        hint="Were they trained at another --image-size, or in another --form?",
    )
