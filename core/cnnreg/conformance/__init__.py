"""The conformance kit: what an architecture or a data set must keep to, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cnnreg.registry import Registry
from cnnreg.specs import ArchitectureSpec, DatasetSpec

from .architecture import CHECKS, recipe_check
from .check import Check, Outcome, ViolationError, outcomes
from .dataset import dataset_checks
from .export import export_checks
from .plugin_module import import_check

__all__ = [
    "CHECKS",
    "Check",
    "Outcome",
    "ViolationError",
    "all_checks",
    "check_architecture",
    "check_dataset",
    "dataset_checks",
    "export_checks",
    "import_check",
    "recipe_check",
]


def all_checks(registry: Registry) -> list[Check[ArchitectureSpec]]:
    """Of its plugin, of the network itself, then one for each file format, cheap ones first."""
    return [import_check(registry), *CHECKS, recipe_check(registry), *export_checks(registry)]


def check_architecture(
    spec: ArchitectureSpec, checks: Iterable[Check[ArchitectureSpec]] | None = None
) -> Iterator[Outcome]:
    """Run the checks (default: those of the network itself), each outcome as it comes.

    A basic one that fails is the last.
    """
    return outcomes(spec, CHECKS if checks is None else checks)


def check_dataset(spec: DatasetSpec, checks: Iterable[Check[DatasetSpec]]) -> Iterator[Outcome]:
    """Run those of `dataset_checks`, each outcome as it comes; a basic one that fails is the last.

    The spec is one of the registry's.
    """
    return outcomes(spec, checks)
