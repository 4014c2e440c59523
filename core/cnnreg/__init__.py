"""cnnreg: a registry of image classifiers that trains, exports and times them.

Everything here is free of torch, so a plugin that imports it stays instant to list. The
verbs (train, export, load, evaluate, predict, benchmark) are found when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    CnnregError,
    DataError,
    DivergedError,
    GateError,
    MachineError,
    MissingExtraError,
    ModelFileError,
    PluginError,
    StoppedError,
    UnknownNameError,
    UsageError,
)
from .hookspecs import hookimpl
from .recipe import Recipe
from .registry import Registry, load_registry
from .specs import (
    ArchitectureSpec,
    DataRequest,
    DatasetSpec,
    EpochRecord,
    ExporterSpec,
    ExportRequest,
    ModelContract,
    ModelFile,
    ModelOptions,
    OptimizerSpec,
    Paper,
    RecipeSpec,
    RunInfo,
    RuntimeOptions,
    RuntimeSpec,
    Samples,
    Session,
    SourceData,
)

if TYPE_CHECKING:
    from .verbs import benchmark, evaluate, export, load, predict, train

__version__ = "0.1.0"

__all__ = [
    "ArchitectureSpec",
    "CnnregError",
    "DataError",
    "DataRequest",
    "DatasetSpec",
    "DivergedError",
    "EpochRecord",
    "ExportRequest",
    "ExporterSpec",
    "GateError",
    "MachineError",
    "MissingExtraError",
    "ModelContract",
    "ModelFile",
    "ModelFileError",
    "ModelOptions",
    "OptimizerSpec",
    "Paper",
    "PluginError",
    "Recipe",
    "RecipeSpec",
    "Registry",
    "RunInfo",
    "RuntimeOptions",
    "RuntimeSpec",
    "Samples",
    "Session",
    "SourceData",
    "StoppedError",
    "UnknownNameError",
    "UsageError",
    "benchmark",
    "evaluate",
    "export",
    "hookimpl",
    "load",
    "load_registry",
    "predict",
    "train",
]

_VERBS = ("benchmark", "evaluate", "export", "load", "predict", "train")


def __getattr__(name: str) -> Any:
    if name not in _VERBS:
        raise AttributeError(f"module 'cnnreg' has no attribute '{name}'")
    from . import verbs

    return getattr(verbs, name)
