"""The settings of torch, and of the process, that decide what a training computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch.backends import cudnn


def _folder() -> str | None:
    with suppress(OSError):  # it may have been removed meanwhile
        return os.getcwd()  # noqa: PTH109 - a text, as the rest are plain values
    return None


def _enter(folder: str | None) -> None:
    with suppress(OSError):
        if folder is not None:
            os.chdir(folder)


def _determinism() -> tuple[bool, bool]:
    """Whether it is asked for, and whether what has no such form only warns."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _set_determinism(mode: tuple[bool, bool]) -> None:
    enabled, warn_only = mode
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "thread count": (torch.get_num_threads, torch.set_num_threads),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "precision of float32": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "deterministic mode": (_determinism, _set_determinism),
    "filling of fresh memory": (
        lambda: torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        lambda wanted: setattr(torch.utils.deterministic, "fill_uninitialized_memory", wanted),
    ),
    "deterministic cuDNN": (
        lambda: cudnn.deterministic,
        lambda wanted: setattr(cudnn, "deterministic", wanted),
    ),
    "cuDNN benchmarking": (
        lambda: cudnn.benchmark,
        lambda wanted: setattr(cudnn, "benchmark", wanted),
    ),
    "TF32 in convolutions": (
        # `allow_tf32` cannot be read, though set, where a program has used the newer setting.
        lambda: cudnn.conv.fp32_precision == "tf32",  # type: ignore[attr-defined]
        lambda wanted: setattr(cudnn, "allow_tf32", wanted),
    ),
    "working folder": (_folder, _enter),
}
"""Each by its name, with what reads and what sets it."""


FRESH: dict[str, Any] = {
    "default dtype": torch.float32,
    "default device": torch.device("cpu"),
    "gradient mode": True,
    "precision of float32": "highest",
    "deterministic mode": (False, False),
    "filling of fresh memory": True,
    "deterministic cuDNN": False,
    "cuDNN benchmarking": False,
    "TF32 in convolutions": True,
}
"""What of it a process that has just imported torch is known to have."""


def settings() -> dict[str, Any]:
    """Without what cannot be read, as where a program has used torch's newer settings too."""
    known = {}
    for name, (read, _) in SETTINGS.items():
        with suppress(RuntimeError):
            known[name] = read()
    return known


@contextmanager
def settings_kept() -> Iterator[None]:
    """What is set inside is put back."""
    before = settings()
    try:
        yield
    finally:
        apply(before)


def apply(wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        read, put = SETTINGS[name]
        with suppress(RuntimeError):
            if read() != value:
                put(value)
