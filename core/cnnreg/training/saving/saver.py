"""What a run's folder receives while it is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from time import monotonic
from typing import Any

from torch import Tensor

from cnnreg.data import Dataset
from cnnreg.errors import DivergedError
from cnnreg.files import check_room, sweep_temporaries
from cnnreg.pictures.curves import draw_curves
from cnnreg.runs import Run, recorded_failure, write_metrics
from cnnreg.specs import EpochRecord
from cnnreg.training.distributed.world import ALONE, World
from cnnreg.training.step import Trainee

from .checkpoint import Checkpoint, is_finite, is_lost, save_checkpoint
from .progress import Progress
from .state import capture

SAVE_INTERVAL = 600.0  # seconds: what a kill may cost at most, in epochs longer than that
DRAW_INTERVAL = 30.0  # seconds between two pictures: drawing can take longer than an epoch
DRAW_SHARE = 0.05  # of the time, at most: Windows makes wait for a picture that a viewer holds


class Saver:
    """Saves the state of one training, whose live objects it holds.

    Each of several processes must call the same methods at the same step; one writes,
    and the others wait until it has.
    """

    def __init__(
        self,
        run: Run,
        trainee: Trainee,
        progress: Progress,
        *,
        made_with: dict[str, Any],
        world: World = ALONE,
    ) -> None:
        self.run = run
        self.made_with = made_with
        self.trainee = trainee
        self.progress = progress
        self.world = world
        self._saved_at = monotonic()
        self._draw_at = self._saved_at + DRAW_INTERVAL

    @contextmanager
    def under_way(self, dataset: Dataset) -> Iterator[None]:
        """Around the work. All that could refuse it lies before: the run was left as it is."""
        with recorded_failure(self.run) if self.world.writes else nullcontext():
            self._begin(dataset)
            yield

    def _begin(self, dataset: Dataset) -> None:
        """A run that cannot be saved fails here."""
        if self.world.writes:
            sweep_temporaries(self.run.folder)  # of a training that was killed
            self._check_room()
            self.run.begin(dataset)
        self.save()
        if self.world.writes and self.progress.history:  # killed before they were written, perhaps
            write_metrics(self.run.folder, self.progress.history)

    def save(self) -> None:
        """Raises DivergedError rather than save weights that are no numbers."""
        self._refuse_broken_weights()
        state = capture(
            self.trainee, self.progress, self.run.config.contract, self.made_with, self.world
        )
        if self.world.writes:
            save_checkpoint(self.run.last, state, previous=self.run.previous)
        self._saved_at = monotonic()
        self.world.any(False)  # nobody leaves, and is missed, while the file is written

    def save_if_due(self) -> None:
        if self.world.any(monotonic() - self._saved_at > SAVE_INTERVAL):
            self.save()

    def save_epoch(self, record: EpochRecord) -> None:
        # The best weights first: killed in between, the epoch is trained again and saved alike.
        self._refuse_broken_weights()
        if record.best and self.world.writes:
            self._save_best(record)
        self.save()
        if self.world.writes:
            write_metrics(self.run.folder, self.progress.history)
        if monotonic() > self._draw_at:
            self.draw()

    def stand_in(self, note: Callable[[str], None]) -> None:
        """At the end, where the best weights are lost: the last epoch is the best then."""
        progress = self.progress
        if not any(record.best for record in progress.history):  # there never was one
            return
        if self.world.any(self.world.writes and is_lost(self.run.best)):
            last = progress.history[-1] = replace(progress.history[-1], best=True)
            progress.judged_since = last.epoch - 1  # what was lost is nothing to come up to
            note(f"{self.run.best.name} is lost: epoch {last.epoch}, the last one, stands for it")
            self.save_epoch(last)

    def _save_best(self, record: EpochRecord) -> None:
        state = {"epoch": record.epoch, "val_accuracy": record.val_accuracy}
        weights = Checkpoint(self.run.config.contract, self.trainee.result.state_dict(), state)
        save_checkpoint(self.run.best, weights)

    def _check_room(self) -> None:
        """Room for best, last, the one before and the one being written, with Adam's state."""
        run, trainee = self.run, self.trainee
        weights = _bytes(trainee.model.state_dict().values())
        average = _bytes(trainee.average.state_dict().values()) if trainee.average else 0
        state = weights + average + 2 * _bytes(trainee.model.parameters())
        present = (path for path in (run.best, run.last, run.previous) if path.exists())
        held = sum(path.stat().st_size for path in present)
        check_room(run.folder, 3 * state + 2 * weights - held)

    def _refuse_broken_weights(self) -> None:
        for name, tensor in self.trainee.model.state_dict().items():
            if not is_finite(tensor):
                raise DivergedError(
                    f"'{name}' holds no numbers any more after step {self.progress.step}.",
                    where=self.run.folder,
                    hint="Try a lower learning rate; what was saved before is whole.",
                )

    def draw(self) -> None:
        if not self.world.writes:
            return
        began = monotonic()
        with suppress(Exception):  # not worth a training; what is wrong is said at its end
            draw_curves(self.progress.history, self.run.name, self.run.curves, ("png",))
        ended = monotonic()
        self._draw_at = ended + max(DRAW_INTERVAL, (ended - began) / DRAW_SHARE)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
