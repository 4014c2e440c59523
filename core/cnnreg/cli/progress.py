"""What a person sees while images are decoded and a network is trained."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cnnreg.runs import Run
from cnnreg.specs import EpochRecord
from cnnreg.texts import percent

if TYPE_CHECKING:
    from cnnreg.training.saving.progress import Progress as TrainingState

REFRESH = 0.1  # seconds between two redraws of the numbers


class Shown:
    """What is shown while it is entered."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


class DecodeProgress(Shown):
    """A bar for each split that has files to decode."""

    def __init__(self, out: Console) -> None:
        columns = (TextColumn("decoding {task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = _bars(out, *columns)
        self._tasks: dict[str, Any] = {}

    def update(self, split: str, done: int, total: int) -> None:
        if split not in self._tasks:
            self._tasks[split] = self._progress.add_task(split, total=total)
        self._progress.update(self._tasks[split], completed=done)


class TrainingProgress(Shown):
    """A bar for the whole training, with the numbers of the epoch in work; a line an epoch."""

    def __init__(self, out: Console, run: Run, images: int) -> None:
        self._out = out
        self._recipe = run.config.recipe
        self._images = images
        self._shown = 0.0
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._progress = _bars(out, *columns)
        self._task = self._progress.add_task("", total=self._recipe.epochs * images, numbers="")

    def step(self, state: TrainingState) -> None:
        if monotonic() - self._shown < REFRESH:
            return
        self._shown = monotonic()
        self._progress.update(
            self._task,
            completed=state.epoch * self._images + state.images,
            description=f"epoch {state.epoch + 1}/{self._recipe.epochs}",
            numbers=f"loss {state.loss_sum / state.images:.4f}  "
            f"accuracy {percent(state.correct / state.images)}  "
            f"{state.images / max(state.seconds, 1e-9):,.0f} images/s",
        )

    def epoch(self, record: EpochRecord) -> None:
        self._out.print(
            f"epoch {record.epoch:>3}  loss {record.train_loss:.4f}  "
            f"accuracy {percent(record.train_accuracy):>8}  |  validation loss "
            f"{record.val_loss:.4f}  accuracy {percent(record.val_accuracy):>8}"
            f"{' [green]best[/]' if record.best else '     '}  "
            f"[dim]{record.images_per_second:,.0f} images/s  {record.seconds:.1f} s[/]"
        )


def _bars(out: Console, *columns: ProgressColumn) -> Progress:
    """Where nobody watches, none: they would leave an empty line behind."""
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)
