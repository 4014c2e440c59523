"""A check and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cnnreg.plugins import one_line, quiet_stdout
from cnnreg.specs import ArchitectureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one check, and why in one line."""

    check: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`run` returns what it found to be true, or raises ViolationError (or anything else)."""

    name: str
    run: Callable[[ArchitectureSpec], str]
    computes: bool = False  # on real tensors: takes time and memory in large networks

    def __call__(self, spec: ArchitectureSpec) -> Outcome:
        try:
            with _settings_restored():
                return Outcome(check=self.name, passed=True, reason=self.run(spec))
        except ViolationError as violation:
            return Outcome(check=self.name, passed=False, reason=str(violation))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            return Outcome(check=self.name, passed=False, reason=one_line(error))


class ViolationError(Exception):
    """A rule of the contract that the architecture breaks."""


@contextmanager
def _settings_restored() -> Iterator[None]:
    """What one check finds changed must not mislead the next; stdout is for the outcomes."""
    import torch

    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        with quiet_stdout():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(device)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
        torch.use_deterministic_algorithms(deterministic)
