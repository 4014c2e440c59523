"""What a run's folder receives while it is trained."""

from __future__ import annotations

from time import monotonic

import torch
from torch import nn

from cnnreg.errors import DivergedError
from cnnreg.runs import Run
from cnnreg.specs import EpochRecord

from .checkpoint import Checkpoint, is_finite, save_checkpoint
from .curves import draw_curves
from .progress import Progress
from .state import capture

SAVE_INTERVAL = 600.0  # seconds: what a kill may cost at most, in epochs longer than that
DRAW_INTERVAL = 30.0  # seconds between two pictures: drawing can take longer than an epoch


class Saver:
    """Saves the state of one training; the model, optimizer and progress are its live ones."""

    def __init__(
        self, run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
    ) -> None:
        self.run = run
        self.model = model
        self.optimizer = optimizer
        self.progress = progress
        self._saved_at = self._drawn_at = monotonic()

    def save(self) -> None:
        """Raises DivergedError rather than save weights that are no numbers."""
        self._refuse_broken_weights()
        state = capture(self.model, self.optimizer, self.progress, self.run.config.contract)
        save_checkpoint(self.run.last, state)
        self._saved_at = monotonic()

    def save_if_due(self) -> None:
        if monotonic() - self._saved_at > SAVE_INTERVAL:
            self.save()

    def save_epoch(self, record: EpochRecord) -> None:
        # The best weights first: killed in between, the epoch is trained again and saved alike.
        self._refuse_broken_weights()
        if record.best:
            state = {"epoch": record.epoch, "val_accuracy": record.val_accuracy}
            weights = Checkpoint(self.run.config.contract, self.model.state_dict(), state)
            save_checkpoint(self.run.best, weights)
        self.save()
        self.run.write_metrics(self.progress.history)
        if monotonic() - self._drawn_at > DRAW_INTERVAL:
            self.draw()

    def _refuse_broken_weights(self) -> None:
        for name, tensor in self.model.state_dict().items():
            if not is_finite(tensor):
                raise DivergedError(
                    f"'{name}' holds no numbers any more after step {self.progress.step}.",
                    where=self.run.folder,
                    hint="Try a lower learning rate; what was saved before is whole.",
                )

    def draw(self) -> None:
        draw_curves(self.progress.history, self.run.name, self.run.curves)
        self._drawn_at = monotonic()
