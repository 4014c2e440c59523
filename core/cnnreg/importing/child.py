"""Reads a pickle's tensors in a process of its own and writes them as safetensors.

    python -P child.py FILE OUTPUT [KEY]

The one place where cnnreg opens a pickle. Torch's reader of tensors alone, which runs
nothing that the file names, does it here, under limits, where a fault of that reader
costs this process and no more. Started by its path, it imports nothing of cnnreg.
What was refused stands on stdout: a JSON object of `what`, `hint` and `at`, and exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model")
MAX_TENSORS = 20_000
SECONDS = 300  # of the processor
MEMORY = 4 << 30  # bytes beside what the file's size explains
SAVE = "Where it was made, save the tensors alone: torch.save(model.state_dict(), 'weights.pt')."


class Refused(Exception):  # noqa: N818 - told to the parent, never raised further
    """`at` is whether the file is at fault, or the output that could not be written."""

    def __init__(self, what: str, hint: str = "", at: str = "file") -> None:
        super().__init__(what)
        self.hint, self.at = hint, at


def main(file: Path, output: Path, key: str = "") -> int:
    try:
        size = file.stat().st_size
        limit(size)
        refuse_programs(file)
        tensors = select(read(file), key)
        write({name: plain(tensor) for name, tensor in checked(tensors, size)}, output)
    except Refused as refused:
        refusal = refused
    except Exception as error:  # noqa: BLE001 - whatever a foreign file makes of its reader
        refusal = Refused(*explain(error))
    else:
        return 0
    answer = {"what": str(refusal), "hint": refusal.hint, "at": refusal.at}
    print(json.dumps(answer))  # noqa: T201 - the answer
    return 1


def limit(size: int) -> None:
    """Processor time, memory and the size of what is written, where the system has limits."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows: the parent's clock alone
        return
    wanted = [(resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_FSIZE, 4 * size + (64 << 20))]
    with suppress(OSError, ValueError):  # Linux alone says, and minds, how much is mapped
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        wanted.append((resource.RLIMIT_AS, mapped * resource.getpagesize() + 4 * size + MEMORY))
    for kind, most in wanted:
        with suppress(OSError, ValueError):  # a lower limit stands already
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def refuse_programs(file: Path) -> None:
    """Raises Refused for archives that hold a whole program, and for bombs."""
    with file.open("rb") as opened:
        if opened.read(2) != b"PK":
            return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise Refused("The file is cut short or damaged.", "Fetch or save it again.") from error
    names = {Path(entry.filename).name for entry in entries}
    if "constants.pkl" in names:
        raise Refused("This is a TorchScript archive, which holds a program.", SAVE)
    if "data.pkl" not in names:
        raise Refused("This archive was not made by torch.save.", SAVE)
    if sum(entry.file_size for entry in entries) > 2 * file.stat().st_size + (1 << 20):
        raise Refused("The archive unfolds to far more than it holds.")


def read(file: Path) -> Any:
    # torchvision's own training script keeps its settings beside the weights in a Namespace,
    # which holds attributes and does nothing.
    # An open file: of a path torch would look at the suffix too.
    with torch.serialization.safe_globals([Namespace]), file.open("rb") as opened:
        return torch.load(opened, map_location="cpu", weights_only=True)


def select(content: Any, key: str) -> dict[str, Tensor]:
    """The tensors by name, out of the wrappings that training scripts put around them."""
    if key:
        content = _entry(content, key)
    while isinstance(content, Mapping):
        inner = next((w for w in WRAPPERS if isinstance(content.get(w), Mapping)), None)
        if inner is None:
            break
        content = content[inner]
    entries = content if isinstance(content, Mapping) else {}
    tensors = {
        name: value
        for name, value in entries.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    if not tensors:
        keys = f"; its keys are {_listed(entries)}" if entries else ""
        raise Refused(
            f"The file holds no tensors by name{keys}.",
            "Name the one that holds them with --key." if entries else SAVE,
        )
    return tensors


def _entry(content: Any, key: str) -> Any:
    if isinstance(content, Mapping) and key in content:
        return content[key]
    keys = f"; there are {_listed(content)}" if isinstance(content, Mapping) else ""
    raise Refused(f"The file has no key '{key}'{keys}.")


def _listed(entries: Mapping[Any, Any]) -> str:
    shown = [str(name)[:40] for name in list(entries)[:8]]
    return ", ".join(shown) + (", ..." if len(entries) > len(shown) else "")


def checked(tensors: dict[str, Tensor], size: int) -> list[tuple[str, Tensor]]:
    """Raises Refused for what no file of `size` bytes can hold, and no network can use."""
    if len(tensors) > MAX_TENSORS:
        raise Refused(f"The file holds more than {MAX_TENSORS} tensors.")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise Refused(f"'{name[:80]}' is no ordinary tensor: sparse, quantized or empty.")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > 4 * size:
        raise Refused("The tensors claim to be far larger than the file.")
    return list(tensors.items())


def plain(tensor: Tensor) -> Tensor:
    """In memory of its own, row by row."""
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def write(tensors: dict[str, Tensor], output: Path) -> None:
    try:
        save_file(tensors, output)
    except (OSError, SafetensorError) as error:
        raise Refused(f"The tensors could not be written: {error}.", at="output") from error


def explain(error: Exception) -> tuple[str, str]:
    text = " ".join(str(error).split())
    if found := re.search(r"GLOBAL ([\w.]+)", text):
        return f"The file holds more than tensors: '{found[1][:80]}' was not run.", SAVE
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return "Reading the file takes more memory than a file of its size should.", ""
    if "weights_only" in text or "Unsupported" in text or "allowlisted" in text:
        return "The file holds more than tensors; nothing of it was run.", SAVE
    said = f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__
    return f"The file is cut short or damaged ({said.rstrip('.')}).", "Fetch or save it again."


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4]))
