"""Small things that several tests build on."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cnnreg.cli import main
from cnnreg.cli.common import get_registry
from cnnreg.data import DataConfig
from cnnreg.planning import plan
from cnnreg.registry import Registry
from cnnreg.runs import Run, create_run
from cnnreg.specs import EpochRecord, ModelContract, Recipe
from cnnreg.training.trainer import run_training


def contract(**changes: Any) -> ModelContract:
    """A contract for 8x8 grey images of three classes, with changes."""
    fields: dict[str, Any] = {
        "architecture": "mlp",
        "plugin": "cnn-registry 0.1.0",
        "num_classes": 3,
        "input_shape": (1, 8, 8),
        "form": "standard",
        "dropout": None,
        "classes": ("a", "b", "c"),
        "mean": (0.5,),
        "std": (0.25,),
        "resize": "squash",
        "dataset": "digits",
    }
    return ModelContract(**{**fields, **changes})


def make_run(registry: Registry, folder: Path, architecture: str = "mlp", **recipe: Any) -> Run:
    """A run on the embedded digits that is planned but not trained."""
    settings: dict[str, Any] = {"epochs": 2, "patience": 0, **recipe}
    config, _ = plan(registry, architecture, DataConfig(name="digits"), Recipe(**settings))
    return create_run(config, folder=folder)


def train(registry: Registry, run: Run, **options: Any) -> list[EpochRecord]:
    return list(run_training(registry, run, run.open_data(registry), **options))


def cli(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command line in this process: exit code, stdout, stderr."""
    out, err = StringIO(), StringIO()
    get_registry.cache_clear()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0), out.getvalue(), err.getvalue()
