"""What plugins offer and what the stages hand to each other: data only, free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .architecture import IMAGENET_MOMENTS, ArchitectureSpec, ModelOptions, Paper
from .checks import check_name
from .contract import ModelContract
from .data import DataRequest, DatasetSpec, Samples, SourceData
from .export import BARE, ExporterSpec, ExportRequest, Interface, Quantisation
from .plain import to_data
from .runtime import ModelFile, RuntimeOptions, RuntimeSpec, Session
from .training import EpochRecord, OptimizerSpec, RecipeSpec, RunInfo
from .types import Form, Precision, Renames, Resize, Shape

if TYPE_CHECKING:
    from .types import Labels, Logits, Pixels

__all__ = [
    "BARE",
    "IMAGENET_MOMENTS",
    "ArchitectureSpec",
    "DataRequest",
    "DatasetSpec",
    "EpochRecord",
    "ExportRequest",
    "ExporterSpec",
    "Form",
    "Interface",
    "Labels",
    "Logits",
    "ModelContract",
    "ModelFile",
    "ModelOptions",
    "OptimizerSpec",
    "Paper",
    "Pixels",
    "Precision",
    "Quantisation",
    "RecipeSpec",
    "Renames",
    "Resize",
    "RunInfo",
    "RuntimeOptions",
    "RuntimeSpec",
    "Samples",
    "Session",
    "Shape",
    "SourceData",
    "check_name",
    "to_data",
]
