"""Where a run stands: everything the loop counts, as JSON-ready data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from cnnreg.chance import interval
from cnnreg.recipe import Recipe
from cnnreg.specs import EpochRecord


@dataclass(slots=True)
class Progress:
    """Mutable on purpose: the loop advances it, a checkpoint stores it."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # finished batches of the current epoch, for people to read
    step: int = 0  # optimizer steps since the start
    images: int = 0  # finished, of the current epoch, as are the three below
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0  # of training alone
    history: list[EpochRecord] = field(default_factory=list)
    judged_since: int = 0  # epochs up to this one were judged otherwise, or the best is lost

    def count(self, *, images: int, loss_sum: float, correct: int, seconds: float) -> None:
        self.batch += 1
        self.step += 1
        self.images += images
        self.loss_sum += loss_sum
        self.correct += correct
        self.seconds += seconds

    def finish_epoch(
        self,
        recipe: Recipe,
        *,
        learning_rate: float,
        val_loss: float,
        val_accuracy: float,
        val_images: int,
        val_seconds: float,
    ) -> EpochRecord:
        self.epoch += 1
        record = EpochRecord(
            epoch=self.epoch,
            step=self.step,
            learning_rate=learning_rate,
            train_loss=self.loss_sum / self.images,
            train_accuracy=self.correct / self.images,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            images_per_second=self.images / max(self.seconds, 1e-9),
            seconds=self.seconds + val_seconds,
            best=self._is_best(
                val_accuracy, val_loss, val_images if self._settles(recipe, learning_rate) else None
            ),
        )
        self.history.append(record)
        self.begin_epoch()
        return record

    def begin_epoch(self) -> None:
        self.batch = self.images = self.correct = 0
        self.loss_sum = self.seconds = 0.0

    @property
    def best(self) -> EpochRecord | None:
        return next((record for record in reversed(self._judged) if record.best), None)

    @property
    def _judged(self) -> list[EpochRecord]:
        return self.history[self.judged_since :]

    def _settles(self, recipe: Recipe, rate: float) -> bool:
        """Whether the rate has not risen since the best epoch, as where a longer training goes on.

        Then a later epoch is no riper one.
        """
        return recipe.settles and (self.best is None or rate <= self.best.learning_rate)

    def _is_best(self, val_accuracy: float, val_loss: float, settling: int | None) -> bool:
        """A better accuracy; with the same one, a lower loss: small splits tie often.

        Of a training that settles, judged by `settling` images, the later of two epochs
        that these do not tell apart: thirty images call one of many the best by chance, and
        it is an early one as soon as not (within one standard error: Breiman et al. 1984).
        """
        if not math.isfinite(val_loss) or self.best is None:
            return math.isfinite(val_loss)
        if settling:
            numbers = (of for of in self._judged if math.isfinite(of.val_loss))
            peak = max(of.val_accuracy for of in numbers)
            return val_accuracy >= interval(round(peak * settling), settling, score=1)[0]
        return (val_accuracy, -val_loss) > (self.best.val_accuracy, -self.best.val_loss)

    def finished(self, recipe: Recipe) -> bool:
        return self.epoch >= recipe.epochs or self.out_of_patience(recipe)

    def out_of_patience(self, recipe: Recipe) -> bool:
        since = self.best.epoch if self.best else self.judged_since
        waited = self.epoch - max(since, recipe.freeze)
        patience = recipe.with_patience().patience
        return bool(patience) and waited >= patience and self.images == 0

    def to_data(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Progress:
        history = [EpochRecord(**record) for record in data["history"]]
        return cls(**{**data, "history": history})
