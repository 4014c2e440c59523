"""Checkpoints: one safetensors file each, with JSON in its header and a digest over both.

A single file can be replaced whole, so weights and the state around them never
come from different moments. Model tensors keep their plain names, so any reader
of safetensors can use them; everything else has a name with a slash.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor, nn

from cnnreg.errors import ModelFileError
from cnnreg.files import check_schema, typed, write_bytes
from cnnreg.networks.weightless import built_undrawn
from cnnreg.plugins import blaming
from cnnreg.runs.weights import HEADER_KEY, MAX_HEADER_BYTES
from cnnreg.specs import ArchitectureSpec, ModelContract, to_data
from cnnreg.texts import listed

SCHEMA = 1
MAX_TENSORS = 20_000


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model at one moment; `state` and `extra` are what resuming needs beside it."""

    contract: ModelContract
    model: dict[str, Tensor]
    state: dict[str, Any] = field(default_factory=dict)  # JSON-ready
    extra: dict[str, Tensor] = field(default_factory=dict)  # optimizer, random numbers
    digest: str = ""  # of all of it, once it has been read


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, previous: Path | None = None) -> None:
    """Write it whole; what stood at `path` stays as `previous`, if that is given."""
    tensors = _plain(checkpoint.model | checkpoint.extra)
    header = json.dumps(
        {
            "schema": SCHEMA,
            "contract": to_data(checkpoint.contract),
            "state": checkpoint.state,
        }
    )
    # One entry, since safetensors writes several in no fixed order: equal runs, equal files.
    metadata = {HEADER_KEY: f"{_digest(header, tensors)} {header}"}
    write_bytes(path, safetensors.save(tensors, metadata), previous=previous)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify. Raises ModelFileError for anything that is not whole and ours."""
    return parse_checkpoint(read_content(path), path)


def parse_checkpoint(content: bytes, path: Path) -> Checkpoint:
    """Verify the content of a file; `path` is for messages. Raises as `read_checkpoint` does."""
    digest, _, header = _header(path, content).partition(" ")
    try:
        tensors = safetensors.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelFileError(f"Damaged checkpoint: {error}.", where=path, hint=_CURE) from error
    if digest != _digest(header, tensors):
        raise ModelFileError("Damaged checkpoint: its sha256 differs.", where=path, hint=_CURE)
    return replace(_parse(path, header, tensors), digest=digest)


def is_lost(path: Path) -> bool:
    """Whether it is gone or damaged. Raises ModelFileError where it can only not be opened now."""
    try:
        read_checkpoint(path)
    except ModelFileError:
        if is_shut(path):
            raise
        return True
    return False


def is_shut(path: Path) -> bool:
    """Whether it is there, but cannot be opened now: another program holds it, say.

    Not where its place on the disk has gone bad, which does not pass. That is met in reading,
    which Windows then calls forbidden, or in opening as EIO.
    """
    try:
        with path.open("rb"):
            return False
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.EIO)


def load_model(path: Path, architecture: ArchitectureSpec) -> nn.Module:
    """The network of a checkpoint: float32, on the CPU, in evaluation mode."""
    return model_of(read_checkpoint(path), architecture, path)


def model_of(checkpoint: Checkpoint, architecture: ArchitectureSpec, path: Path) -> nn.Module:
    """A new network with the checkpoint's weights; `path` is for messages."""
    named = checkpoint.contract.architecture
    if named != architecture.name:
        raise ModelFileError(
            f"This checkpoint was made for '{named}', not '{architecture.name}'.", where=path
        )
    options = checkpoint.contract.options()
    with blaming(f"Building '{architecture.name}'"):
        model = built_undrawn(lambda: architecture.build(options))
        load_weights(model, checkpoint.model, path)
    return model.eval()


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Copy weights in, or change nothing and say the first three differences."""
    expected = model.state_dict()
    differing = sorted(
        name
        for name in expected.keys() | weights.keys()
        if name not in expected
        or name not in weights
        or expected[name].shape != weights[name].shape
    )
    if differing:
        raise ModelFileError(
            f"The weights do not fit this network: {len(differing)} tensors differ "
            f"({listed(differing)}).",
            where=path,
            hint="Was the plugin that built it changed since?",
        )
    broken = [name for name, tensor in weights.items() if not is_finite(tensor)]
    if broken:
        raise ModelFileError(f"The weights hold NaN or infinity in '{broken[0]}'.", where=path)
    model.load_state_dict(weights)


_CURE = "Use another checkpoint of the run; this one cannot be repaired."


def read_content(path: Path) -> bytes:
    # Copied into memory, not mapped: a file replaced while in use must not crash the reader.
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"Cannot read: {error.strerror}.", where=path) from error


def _header(path: Path, content: bytes) -> str:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > MAX_HEADER_BYTES or size + 8 > len(content):
        raise ModelFileError(looks_like(content), where=path, hint=_CURE)
    try:
        entries = json.loads(content[8 : 8 + size])
        if HEADER_KEY not in entries.get("__metadata__", {}):
            raise ModelFileError(
                "Tensors that were saved elsewhere, no checkpoint.",
                where=path,
                hint=f"Make a run of them: cnnreg import {typed(path)} --arch NETWORK",
            )
        header = entries["__metadata__"][HEADER_KEY]
        if len(entries) > MAX_TENSORS or not isinstance(header, str):
            raise ValueError("unreasonable header")
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ModelFileError(looks_like(content), where=path, hint=_CURE) from error
    return header


def looks_like(content: bytes) -> str:
    """What a file that is no checkpoint seems to be, told from how it begins."""
    kinds = {
        b"<": "a web page",
        b"version https://git-lfs": "a git-lfs pointer; fetch the real file",
        b"PK\x03\x04": "a pickle archive (.pt); `cnnreg import` reads its tensors, runs nothing",
        b"\x80": "a pickle; `cnnreg import` reads its tensors, runs nothing",
    }
    if content[8:9] == b"{":  # after a number that may begin as a pickle does
        return "Not a checkpoint, or one cut short."
    start = content[:64].lstrip()
    for prefix, kind in kinds.items():
        if start.startswith(prefix):
            return f"Not a checkpoint but {kind}."
    return "Not a checkpoint, or one cut short." if start else "The checkpoint is empty."


def _parse(path: Path, header: str, tensors: dict[str, Tensor]) -> Checkpoint:
    try:
        data = json.loads(header)
        check_schema(data, SCHEMA, path)
        contract = ModelContract.from_data(data["contract"])
        state = data["state"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ModelFileError(f"Damaged checkpoint header: {error}.", where=path) from error
    return Checkpoint(
        contract=contract,
        model={name: tensor for name, tensor in tensors.items() if "/" not in name},
        state=state,
        extra={name: tensor for name, tensor in tensors.items() if "/" in name},
    )


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """On the processor, row by row, each in memory of its own, which tied weights are not."""
    plain, taken = dict[str, Tensor](), set[int]()
    for name, tensor in tensors.items():
        plain[name] = tensor.detach().to("cpu").contiguous()
        memory = plain[name].untyped_storage().data_ptr()
        if memory in taken:
            plain[name] = plain[name].clone()
        taken.add(memory)
    return plain


def _digest(header: str, tensors: dict[str, Tensor]) -> str:
    digest = sha256(header.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
