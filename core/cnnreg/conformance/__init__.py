"""The conformance kit: what an architecture must keep to, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec

from .architecture import CHECKS
from .check import Check, Outcome, ViolationError
from .export import export_checks

__all__ = [
    "CHECKS",
    "Check",
    "Outcome",
    "ViolationError",
    "all_checks",
    "check_architecture",
    "export_checks",
]


def all_checks(registry: Registry) -> list[Check]:
    """Those of the network itself, then one for each file format, cheap ones first."""
    return [*CHECKS, *export_checks(registry)]


def check_architecture(
    spec: ArchitectureSpec, checks: Iterable[Check] | None = None
) -> Iterator[Outcome]:
    """Run the checks (default: those of the network itself), each outcome as it comes.

    A basic one that fails is the last.
    """
    for check in CHECKS if checks is None else checks:
        outcome = check(spec)
        yield outcome
        if check.basic and not outcome.passed:
            return
