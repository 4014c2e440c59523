"""From a file that was made elsewhere to its tensors, whatever the file is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import safe_open
from torch import Tensor

from cnnreg.errors import CnnregError, MachineError, ModelFileError, UsageError
from cnnreg.files import check_room, file_digest, typed
from cnnreg.runs.weights import HEADER_KEY
from cnnreg.training.saving.checkpoint import looks_like
from cnnreg.training.saving.foreign import is_safetensors, read_tensors

MAX_BYTES = 16 << 30
SECONDS = 300
CHILD = Path(__file__).with_name("child.py")
PICKLES = (b"PK\x03\x04", b"\x80")  # as torch.save writes them now, and before version 1.6


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by the names they have in `file`."""

    file: Path
    sha256: str
    tensors: Mapping[str, Tensor]


def read_weights(file: Path, key: str | None = None) -> Weights:
    """What a file of torch.save or safetensors holds; `key` names a part of it.

    Its content tells what it is, not its name. Raises ModelFileError for all that is
    not tensors by name.
    """
    start = _start(file)
    if is_safetensors(start):
        tensors = read_tensors(file)
        _refuse_own(file)
        if key:
            tensors = _part(tensors, key, file)
    elif start.startswith(PICKLES):
        tensors = _read_apart(file, key)
    else:
        raise ModelFileError(
            looks_like(start),
            where=file,
            hint="Name a file that torch.save wrote, or one of safetensors.",
        )
    if not tensors:
        raise ModelFileError("The file holds no tensors.", where=file)
    return Weights(file, file_digest(file), tensors)


def _start(file: Path) -> bytes:
    if not file.exists():
        raise UsageError("There is no such file.", where=file)
    if not file.is_file():
        raise ModelFileError("This is no file of weights but a folder or a device.", where=file)
    if file.stat().st_size > MAX_BYTES:
        raise ModelFileError(f"The file is larger than {MAX_BYTES >> 30} GiB.", where=file)
    try:
        with file.open("rb") as opened:
            return opened.read(64)
    except OSError as error:
        raise ModelFileError(f"Cannot read: {error.strerror}.", where=file) from error


def _refuse_own(file: Path) -> None:
    with safe_open(file, "pt") as opened:
        if HEADER_KEY in (opened.metadata() or {}):
            raise ModelFileError(
                "This is a checkpoint of cnnreg's own, which knows its classes and images.",
                where=file,
                hint=f"Use it as it is: cnnreg predict {typed(file)} ..., or train with --weights",
            )


def _part(tensors: dict[str, Tensor], key: str, file: Path) -> dict[str, Tensor]:
    """Files of safetensors are flat: what others keep under a key begins with it here."""
    prefix = f"{key}."
    found = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    if not found:
        raise ModelFileError(f"No tensor's name begins with '{prefix}'.", where=file)
    return found


def _read_apart(file: Path, key: str | None) -> dict[str, Tensor]:
    """A pickle's tensors, by way of the child and of a file that holds nothing else."""
    with TemporaryDirectory(prefix="cnnreg-import-", ignore_cleanup_errors=True) as folder:
        output = Path(folder, "tensors.safetensors")
        check_room(output.parent.parent, file.stat().st_size)
        # -P: what lies beside a script, or where one stands, is not what `import torch` means.
        command = [sys.executable, "-P", str(CHILD), str(file.absolute()), str(output), key or ""]
        try:
            done = subprocess.run(  # noqa: S603 - our own file, and no shell
                command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelFileError(
                f"Reading the file took more than {SECONDS // 60} minutes.", where=file
            ) from error
        if done.returncode != 0 or not output.is_file():
            raise _refusal(done.returncode, done.stdout, file, output)
        return read_tensors(output)


def _environment() -> dict[str, str]:
    """Without graphics cards and what else torch starts: the child reads a file."""
    kept = {k: v for k, v in os.environ.items() if k != "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}
    return {**kept, "CUDA_VISIBLE_DEVICES": "", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}


def _refusal(code: int, said: bytes, file: Path, output: Path) -> CnnregError:
    try:
        answer = json.loads(said)
        what = printable(answer["what"], 400)
        if answer["at"] == "output":
            hint = "Free some room there, or name another folder in TMPDIR (Windows: TEMP)."
            return MachineError(what, where=output.parent.parent, hint=hint)
        return ModelFileError(what, where=file, hint=answer["hint"])
    except (ValueError, KeyError, TypeError):
        return ModelFileError(
            f"The file could not be read; its reader ended with code {code}.", where=file
        )


def printable(text: str, most: int = 80) -> str:
    """A name out of a foreign file, which could hold what moves a terminal's cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])
