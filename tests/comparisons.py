"""Trials that nobody trained, and their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnreg.comparing.plan import Trial
from cnnreg.comparing.results import CURVES, Result
from cnnreg.comparing.study import Study
from cnnreg.training.stopping import StopRequest


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
