"""Training one trial: an ordinary run in the comparison's folder, gone on with if it is there."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cnnreg.data import DataConfig, Dataset
from cnnreg.data.decode import OnDecoded
from cnnreg.errors import DataError, DivergedError, UsageError
from cnnreg.files import sweep_temporaries
from cnnreg.planning import fix, open_for
from cnnreg.recipe import Recipe
from cnnreg.registry import Registry
from cnnreg.runs import Run, create_run, is_run, open_run, read_metrics
from cnnreg.specs import to_data

from .plan import Plan, Trial, fixed_part
from .results import CURVES, Result


@dataclass
class DataSets:
    """Each data set opened once for all trials of this process that see it at one size."""

    registry: Registry
    progress: OnDecoded | None = None
    _opened: list[tuple[DataConfig, Dataset]] = field(default_factory=list)
    _by_network: dict[tuple[str, DataConfig], Dataset] = field(default_factory=dict)

    def open(self, architecture: str, config: DataConfig) -> Dataset:
        key = architecture, config
        if key not in self._by_network:
            self._by_network[key] = self._shared(architecture, config)
        return self._by_network[key]

    def _shared(self, architecture: str, config: DataConfig) -> Dataset:
        fresh = open_for(self.registry, architecture, config, progress=self.progress)
        for known, dataset in self._opened:
            if known == config and dataset.image_shape == fresh.image_shape:
                return dataset  # decoded already, perhaps; the fresh one is not
        self._opened.append((config, fresh))
        return fresh


def describe_plan(
    registry: Registry, plan: Plan, data_sets: DataSets
) -> dict[str, tuple[str, dict[str, Any]]]:
    """What the study holds for all workers; all that is to be combined is tried first."""
    from cnnreg.training.start import try_out

    entries: dict[str, tuple[str, dict[str, Any]]] = {}
    for architecture, recipes in plan.recipes.items():
        for optimizer, recipe in recipes.items():
            entries[f"recipe/{architecture}/{optimizer}"] = (architecture, fixed_part(recipe))
        for label, config in plan.data.items():
            dataset = data_sets.open(architecture, config)
            dataset.decode()
            for recipe in recipes.values():
                try_out(registry, fix(registry, architecture, config, dataset, recipe), dataset)
            entries[f"data/{label}"] = (label, describe(config, dataset))
    return entries


def describe(config: DataConfig, dataset: Dataset) -> dict[str, Any]:
    """What is the same for all trials on these data, and where they lie here."""
    return {**to_data(config), "fingerprint": dataset.fingerprint}


def config_from_description(data: dict[str, Any], downloads: Path | None) -> DataConfig:
    """Back from `describe`; `downloads` if the files lie elsewhere on this machine."""
    config = DataConfig.from_data({k: v for k, v in data.items() if k != "fingerprint"})
    return replace(config, downloads=downloads or config.downloads)


def open_trial(
    registry: Registry,
    trial: Trial,
    recipe: Recipe,
    *,
    config: DataConfig,
    dataset: Dataset,
    folder: Path,
) -> Run:
    """The trial's run in `folder`: as it was left, or a new one.

    Raises UsageError if the folder holds another training.
    """
    planned = fix(registry, trial.architecture, config, dataset, trial.recipe(recipe))
    if not is_run(folder):
        if folder.is_dir():
            sweep_temporaries(folder)  # of a worker killed before it had begun
        return create_run(planned, folder=folder)
    run = open_run(folder)
    asked, held = planned.contract, run.config.contract
    same = replace(asked, plugin=held.plugin) == held
    if not same or (planned.recipe, planned.data_fingerprint) != (
        run.config.recipe,
        run.config.data_fingerprint,
    ):
        raise UsageError(
            "This folder holds a training of another comparison.",
            where=folder,
            hint="Choose another --output, or remove it.",
        )
    return run


def train_trial(
    registry: Registry,
    trial: Trial,
    run: Run,
    dataset: Dataset,
    *,
    device: str,
    on_step: Callable[[Any], None],
    note: Callable[[str], None],
) -> Result:
    """Train the run to its end, or take the result that it has. Diverging is a result."""
    from cnnreg.training.trainer import run_training

    diverged = False
    if run.result is None or not run.report.exists():  # stopped between the two, perhaps
        try:
            for _ in run_training(
                registry, run, dataset, device=device, on_step=on_step, note=note
            ):
                pass
        except DivergedError:
            diverged = True
    outcome = {} if diverged else run.result or {}
    history = read_metrics(run.folder)
    return Result(
        trial=trial,
        diverged=diverged,
        val_accuracy=outcome.get("val_accuracy"),
        test_accuracy=outcome.get("test_accuracy"),
        best_epoch=outcome.get("best_epoch"),
        epochs=len(history),
        seconds=sum(record.seconds for record in history),
        curves={name: [_number(getattr(record, name)) for record in history] for name in CURVES},
        run=str(run.folder.absolute()),
        host=platform.node(),
    )


def check_data(label: str, dataset: Dataset, fingerprint: str) -> None:
    """Raises DataError if another worker's data of this name are not the same."""
    if dataset.fingerprint != fingerprint:
        raise DataError(
            f"'{label}' holds other images here than where this comparison began.",
            hint="All workers need the same files.",
        )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
