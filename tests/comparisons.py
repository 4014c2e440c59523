"""Trials that nobody trained, and their results."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnreg.comparing.plan import Trial
from cnnreg.comparing.results import CURVES, Result
from cnnreg.comparing.study import Study
from cnnreg.training.stopping import StopRequest

SMALL = (
    "compare", "mlp", "--optimizers", "adam,sgd", "--lrs", "0.01,0.001", "--seeds", "2",
    "--epochs", "2",
)  # fmt: skip
"""A comparison that takes seconds."""


def trial(optimizer: str = "adam", rate: float = 0.001, seed: int = 0, **changes: Any) -> Trial:
    fields = {"architecture": "mlp", "data": "digits", **changes}
    return Trial(optimizer=optimizer, learning_rate=rate, seed=seed, **fields)


def result(of: Trial, val: float | None = 0.5, test: float | None = None) -> Result:
    """Finished, or diverged where `val` is None."""
    epochs = 0 if val is None else 2
    return Result(
        trial=of,
        diverged=val is None,
        val_accuracy=val,
        test_accuracy=val if test is None else test,
        best_epoch=epochs or None,
        epochs=epochs,
        seconds=30.0 * epochs,
        curves={name: [0.5] * epochs for name in CURVES},
        run=f"runs/{of.name}",
        host="here",
    )


def results(tests: dict[str, list[float | None]], **changes: Any) -> list[Result]:
    """By optimizer the test accuracy of each seed, None where it diverged; validation the same."""
    return [
        result(trial(optimizer, seed=seed, **changes), accuracy)
        for optimizer, accuracies in tests.items()
        for seed, accuracy in enumerate(accuracies)
    ]


def work(study: Study, train: Callable[[Trial], Result] = result, **options: Any) -> None:
    study.work(train, stop=StopRequest(), **options)


def accuracies(report: Any) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        tuple(of[key] for key in ("optimizer", "learning_rate", "seed")): (
            of["val_accuracy"], of["test_accuracy"], of["epochs"],
        )
        for of in report["trials"]
    }  # fmt: skip


def figures(folder: Path) -> list[tuple[str, ...]]:
    """What results.csv holds of the trials of the first seed, but for where and how long."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["seed"] == "0"]
    return sorted(tuple(v for k, v in line.items() if k not in {"seconds"}) for line in lines)
