"""Tensors of files that were made elsewhere: read from safetensors, and given a network's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from cnnreg.errors import ModelFileError
from cnnreg.plugins import one_line
from cnnreg.runs.weights import MAX_HEADER_BYTES
from cnnreg.specs import Renames

from .checkpoint import MAX_TENSORS, looks_like, read_content

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
"""What DataParallel, torch.compile and the wrappers of training frameworks put before a name."""


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
