"""The hooks: what a plugin may offer, and what it may watch. No logic lives here.

A plugin is a module (or object) that an entry point of the group `cnnreg` names.
It implements any of these with `@cnnreg.hookimpl` and imports torch only inside
the functions its specs name, so that listing stays instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from .specs import (
    ArchitectureSpec,
    DatasetSpec,
    EpochRecord,
    ExporterSpec,
    OptimizerSpec,
    RecipeSpec,
    RunInfo,
    RuntimeSpec,
)

if TYPE_CHECKING:
    import click

PROJECT = "cnnreg"
ENTRY_POINT_GROUP = "cnnreg"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- What a plugin offers -------------------------------------------------------------


@hookspec
def cnnreg_architectures() -> Iterable[ArchitectureSpec]:
    """The networks this plugin offers. Must not import torch."""
    raise NotImplementedError


@hookspec
def cnnreg_datasets() -> Iterable[DatasetSpec]:
    """The data sets this plugin offers."""
    raise NotImplementedError


@hookspec
def cnnreg_optimizers() -> Iterable[OptimizerSpec]:
    """The optimizers this plugin offers. Must not import torch."""
    raise NotImplementedError


@hookspec
def cnnreg_recipes() -> Iterable[RecipeSpec]:
    """The named recipes this plugin offers, each a TOML file."""
    raise NotImplementedError


@hookspec
def cnnreg_exporters() -> Iterable[ExporterSpec]:
    """The file formats this plugin can write."""
    raise NotImplementedError


@hookspec
def cnnreg_runtimes() -> Iterable[RuntimeSpec]:
    """The engines this plugin can run a model with."""
    raise NotImplementedError


@hookspec
def cnnreg_commands(group: click.Group) -> None:
    """Add commands to `group`; asked for only on an unknown command or `--help`."""
    raise NotImplementedError


# --- What a plugin watches ------------------------------------------------------------


@hookspec
def cnnreg_epoch_finished(run: RunInfo, record: EpochRecord) -> None:
    """An epoch has been trained, validated and saved. For loggers."""
    raise NotImplementedError


@hookspec
def cnnreg_training_finished(run: RunInfo, result: Mapping[str, Any]) -> None:
    """Training has ended by itself, and result.json is written; `result` is what it holds."""
    raise NotImplementedError
