"""What trials gave, by contestant: means, spreads, and the best learning rate of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from .plan import Trial

CURVES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one trial gave. A diverged one has no accuracies, but the curves up to there.

    One that failed has none of it; it is tried again when the comparison goes on.
    """

    trial: Trial
    diverged: bool
    val_accuracy: float | None  # of the best epoch
    test_accuracy: float | None  # of that epoch's weights
    best_epoch: int | None
    epochs: int
    seconds: float
    curves: Mapping[str, Sequence[float | None]]  # by CURVES, a value an epoch; None: no number
    run: str  # the run's folder, on `host`; see folder.with_relative_runs
    host: str
    failure: str | None = None  # why there is no result

    @property
    def state(self) -> str:
        return "failed" if self.failure else "diverged" if self.diverged else "finished"

    def outcome(self) -> dict[str, Any]:
        """All but the trial."""
        return {name: value for name, value in asdict(self).items() if name != "trial"}


def failed_result(trial: Trial, failure: str) -> Result:
    return Result(
        trial=trial,
        diverged=False,
        val_accuracy=None,
        test_accuracy=None,
        best_epoch=None,
        epochs=0,
        seconds=0.0,
        curves={},
        run="",
        host="",
        failure=failure,
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """A sample: its mean, and its standard deviation if there are two or more."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        if not values:
            return None
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True, slots=True)
class Cell:
    """One contestant, a network with an optimizer at a learning rate on a data set: all seeds."""

    architecture: str
    data: str
    optimizer: str
    learning_rate: float
    results: tuple[Result, ...]  # by seed
    failed: tuple[Result, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.optimizer} ({self.learning_rate:g})"

    @property
    def finished(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.diverged)

    @property
    def diverged(self) -> int:
        return len(self.results) - len(self.finished)

    @property
    def seeds(self) -> frozenset[int]:
        """Trained so far; those that diverged are among them."""
        return frozenset(result.trial.seed for result in self.results)

    @property
    def val(self) -> Spread | None:
        return Spread.of([r.val_accuracy for r in self.finished if r.val_accuracy is not None])

    @property
    def test(self) -> Spread | None:
        return Spread.of([r.test_accuracy for r in self.finished if r.test_accuracy is not None])

    @property
    def epochs(self) -> Spread | None:
        return Spread.of([float(result.epochs) for result in self.results])

    @property
    def minutes(self) -> Spread | None:
        return Spread.of([result.seconds / 60 for result in self.results])

    def merit(self, seeds: Collection[int] = ()) -> tuple[bool, int, float]:
        """What is chosen by: no seed lost, then the validation accuracy over `seeds`, or all.

        A cell of which nothing is trained so far comes last.
        """
        chosen = [r for r in self.finished if not seeds or r.trial.seed in seeds]
        values = [r.val_accuracy for r in chosen if r.val_accuracy is not None]
        return bool(self.results), -self.diverged, fmean(values) if values else 0.0

    def test_by_seed(self) -> dict[int, float]:
        return {
            result.trial.seed: result.test_accuracy
            for result in self.finished
            if result.test_accuracy is not None
        }


def cells(results: Iterable[Result]) -> list[Cell]:
    """By network, data and optimizer in the order of their first trial, rates from the highest."""
    grouped: dict[tuple[str, str, str, float], list[Result]] = {}
    for result in results:
        trial = result.trial
        key = (trial.architecture, trial.data, trial.optimizer, trial.learning_rate)
        grouped.setdefault(key, []).append(result)
    rank = {name: place for place, name in enumerate(dict.fromkeys(n for k in grouped for n in k))}
    keys = sorted(grouped, key=lambda key: (*(rank[name] for name in key[:3]), -key[3]))
    return [_cell(key, grouped[key]) for key in keys]


def _cell(key: tuple[str, str, str, float], results: Iterable[Result]) -> Cell:
    by_seed = sorted(results, key=lambda result: result.trial.seed)
    trained = tuple(result for result in by_seed if not result.failure)
    return Cell(*key, trained, tuple(result for result in by_seed if result.failure))


def best_rates(table: Iterable[Cell]) -> list[Cell]:
    """For each network, data set and optimizer the best cell."""
    grouped: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in table:
        grouped.setdefault((cell.architecture, cell.data, cell.optimizer), []).append(cell)
    return [best_of(group) for group in grouped.values()]


def best_of(group: Sequence[Cell]) -> Cell:
    """The cell of most merit, which knows no test, over the seeds that all have."""
    seeds = shared_seeds(group)
    return max(group, key=lambda cell: cell.merit(seeds))


def shared_seeds(group: Iterable[Cell]) -> frozenset[int]:
    """Of those cells that have any."""
    trained = [cell.seeds for cell in group if cell.seeds]
    return frozenset.intersection(*trained) if trained else frozenset()


def panels(table: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    """The cells of each network and data set, which can be compared with each other."""
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in table:
        grouped.setdefault((cell.architecture, cell.data), []).append(cell)
    return grouped
