"""Many runs at a glance: what each was, where it stands, and what came of it. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnreg.errors import CnnregError
from cnnreg.files import in_use
from cnnreg.manifest import FILE_NAME, has_manifest
from cnnreg.recipe import BY_SCHEDULE, MEASURED, Recipe
from cnnreg.registry import Registry
from cnnreg.texts import matches

from .failure import failure_state
from .metrics import read_metrics
from .opening import DEFAULT_ROOT, open_run, run_folders
from .run import Run, name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOverview:
    """One line of `cnnreg runs`. Of a damaged run only name, folder and state are known."""

    name: str
    folder: Path
    state: str  # finished | being trained | stopped | diverged | failed | damaged | imported
    detail: str = ""  # of the state, in words
    created: str = ""
    network: str = ""
    data: str = ""
    epochs: int = 0  # finished ones
    planned_epochs: int = 0
    best_epoch: int | None = None
    val_accuracy: float | None = None  # of the best epoch
    test_accuracy: float | None = None
    seconds: float = 0.0
    exports: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        return f"{self.state} {self.detail}".strip()

    def matches(self, pattern: str) -> bool:
        """Name, network and data are compared: a part of one, or one with * and ?."""
        return matches(pattern, self.name, self.network, self.data)


ORDERS: dict[str, Callable[[RunOverview], tuple[Any, ...]]] = {
    # By validation: who chooses among runs by the test split has no test split any more.
    "accuracy": lambda run: (-(run.val_accuracy or 0.0), -_moment(run)),
    "time": lambda run: (run.seconds, -_moment(run)),
    "date": lambda run: (-_moment(run), run.name),
}


def survey(root: Path = DEFAULT_ROOT, order: str = "date") -> list[RunOverview]:
    """Every run under `root`, damaged ones last; the newest, best or quickest first."""
    found = map(overview, run_folders(root))
    return sorted(found, key=lambda run: (run.state == "damaged", *ORDERS[order](run)))


def overview(folder: Path) -> RunOverview:
    """What a run's own files say; never raises for what stands in them."""
    try:
        return _read(open_run(folder))
    except CnnregError as error:
        return RunOverview(name=name_of(folder), folder=folder, state="damaged", detail=error.what)


def changes(recipe: Recipe, usual: Recipe) -> dict[str, tuple[Any, Any]]:
    """Fields in which the recipe differs: (its value, the usual one).

    Not what was measured to be fastest where it was left open, nor the patience that goes with
    the schedule: that is no one's wish.
    """
    recipe = recipe.with_patience()
    if usual.patience == BY_SCHEDULE:
        left_open = replace(recipe, patience=BY_SCHEDULE)
        usual = replace(usual, patience=left_open.with_patience().patience)
    measured = {name for name in MEASURED if getattr(usual, name) == "auto"}
    names = [name for name in recipe.__dataclass_fields__ if name not in measured]
    pairs = {name: (getattr(recipe, name), getattr(usual, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def usual_recipe(registry: Registry, run: Run) -> Recipe:
    """The network's own recipe, or the general one if the network is not installed."""
    try:
        return registry.architecture_of(run.config.contract).recipe
    except CnnregError:
        return Recipe()


def exports_of(run: Run) -> tuple[str, ...]:
    folders = (path.parent for path in run.exports.glob(f"*/{FILE_NAME}"))
    found = (f.name for f in folders if not f.name.startswith(".") and has_manifest(f))
    return tuple(sorted(found))


def _read(run: Run) -> RunOverview:
    history, contract = read_metrics(run.folder), run.config.contract
    best = next((record for record in reversed(history) if record.best), None)
    result = run.result
    state, detail = _state(run, len(history), result)
    return RunOverview(
        name=run.name,
        folder=run.folder,
        state=state,
        detail=detail,
        created=run.config.created,
        network=contract.architecture,
        data=run.config.data.label,
        epochs=len(history),
        planned_epochs=0 if run.config.imported else run.config.recipe.epochs,
        best_epoch=best.epoch if best else None,
        val_accuracy=best.val_accuracy if best else None,
        test_accuracy=result["test_accuracy"] if result else None,
        seconds=sum(record.seconds for record in history),
        exports=exports_of(run),
    )


def _state(run: Run, epochs: int, result: Any) -> tuple[str, str]:
    planned = run.config.recipe.epochs
    if run.config.imported:
        whole = run.best.exists()
        return ("imported", f"from {run.config.imported['file']}") if whole else ("stopped", "")
    if not (result and run.report.exists()) and in_use(run.folder):
        epoch = f"(epoch {min(epochs + 1, planned)} of {planned})"
        return "being trained", "(making its report)" if result else epoch
    if result:
        done = run.report.exists()  # else it was stopped over its pictures, most likely
        return ("finished", "") if done else ("stopped", "before its report")
    failure = failure_state(run.folder)
    if failure is None and not run.last.exists():
        return "stopped", "before it began"
    return failure or "stopped", f"after {epochs} of {planned} epochs"


def _moment(run: RunOverview) -> float:
    return datetime.fromisoformat(run.created).timestamp() if run.created else 0.0


def matching(runs: Iterable[RunOverview], pattern: str | None) -> list[RunOverview]:
    return [run for run in runs if pattern is None or run.matches(pattern)]
