"""The settings of torch, and of the process, that decide what a training computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch


def _folder() -> str | None:
    with suppress(OSError):  # it may have been removed meanwhile
        return os.getcwd()  # noqa: PTH109 - a text, as the rest are plain values
    return None


def _enter(folder: str | None) -> None:
    with suppress(OSError):
        if folder is not None:
            os.chdir(folder)


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, torch.set_default_device),
    "thread count": (torch.get_num_threads, torch.set_num_threads),
    "gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "precision of float32": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "deterministic mode": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "working folder": (_folder, _enter),
}
"""Each by its name, with what reads and what sets it."""


def settings() -> dict[str, Any]:
    return {name: read() for name, (read, _) in SETTINGS.items()}


@contextmanager
def settings_kept() -> Iterator[None]:
    """What is set inside is put back."""
    before = settings()
    try:
        yield
    finally:
        for name, value in settings().items():
            if value != before[name]:
                SETTINGS[name][1](before[name])
