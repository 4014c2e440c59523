"""The training loop: one visible for-loop, everything it needs in its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from time import perf_counter

import torch
from torch import nn
from torch.nn import functional

from cnnreg.errors import DivergedError, StoppedError
from cnnreg.plugins import blaming
from cnnreg.recipe import Recipe
from cnnreg.specs import EpochRecord

from .distributed.world import ALONE, World
from .feeding.batches import Batch, TrainingBatches
from .feeding.resizing import resized
from .groups import set_training
from .saving.progress import Progress
from .saving.state import streams_kept
from .schedule import learning_rate
from .step import Step, autocast
from .stopping import StopRequest


def train(
    step: Step,
    batches: TrainingBatches,
    *,
    validation: Callable[[], Iterable[Batch]],
    recipe: Recipe,
    progress: Progress,
    body: Collection[nn.Parameter],
    on_step: Callable[[Progress], None],
    on_stop: Callable[[], None],
    stop: StopRequest,
) -> Iterator[EpochRecord]:
    """Train from where `progress` stands, yielding each epoch as it ends.

    `body` is what the recipe may freeze.
    Raises DivergedError if the loss stops being a number, and StoppedError, after
    calling `on_stop` to save, at the end of the step during which `stop` was asked.
    """
    trainee, world = step.trainee, step.world

    def rate_now(back: int = 0) -> float:
        position = max(0, progress.step - back)
        return learning_rate(recipe, position, len(batches), progress.history)

    while not progress.finished(recipe):
        set_training(trainee.model, body, frozen=progress.epoch < recipe.freeze)
        rate = rate_now(back=1)
        started = perf_counter()
        for batch in batches.epoch(progress.epoch, start=progress.images):
            rate = rate_now()
            grown = resized(batch, recipe, progress.step, len(batches))
            with blaming(step.title):
                loss, correct = world.sum(*step(grown, rate))
            if not math.isfinite(loss):
                raise _diverged(loss, progress, rate, recipe)
            now = perf_counter()
            progress.count(
                images=batch.total, loss_sum=loss, correct=int(correct), seconds=now - started
            )
            started = now
            on_step(progress)
            if stop.asked_anywhere(world):
                on_stop()
                place = f"at epoch {progress.epoch + 1}, step {progress.batch}/{len(batches)}"
                raise stopped(place, stop)
        started = perf_counter()
        try:
            # What a network draws in evaluation moves no stream, so that it may be done again.
            with blaming(step.title), streams_kept():
                val_loss, val_accuracy, val_images = evaluate(
                    trainee.result,
                    validation(),
                    device=step.device,
                    precision=recipe.precision,
                    stop=stop,
                    world=world,
                )
        except StoppedError:  # saved as it stands, the epoch is validated on going on
            on_stop()
            raise
        yield progress.finish_epoch(
            recipe,
            learning_rate=rate,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            val_images=val_images,
            val_seconds=perf_counter() - started,
        )
        if stop.asked_anywhere(world):  # asked during validation: the epoch is saved by now
            raise stopped(f"after epoch {progress.epoch}", stop)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    precision: str = "fp32",
    stop: StopRequest,
    world: World = ALONE,
) -> tuple[float, float, int]:
    """Mean cross-entropy and accuracy (0..1) over all images, and how many, in evaluation mode.

    Raises StoppedError as soon as `stop` is asked.
    """
    model.eval()
    loss_sum, correct, count = 0.0, 0, 0
    for batch in batches:
        if stop.asked_anywhere(world):
            raise stopped("while evaluating", stop)
        if not len(batch.labels):  # in the last batch there are not enough for all processes
            continue
        images, labels = batch.images.to(device), batch.labels.to(device)
        with autocast(precision, device):
            logits = model(images)
        loss_sum += functional.cross_entropy(logits.float(), labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
        count += len(labels)
    loss_sum, right, images_seen = world.sum(loss_sum, correct, count)
    return loss_sum / images_seen, right / images_seen, int(images_seen)


def _diverged(loss: float, progress: Progress, rate: float, recipe: Recipe) -> DivergedError:
    good = f"epoch {progress.epoch}" if progress.epoch else "none"
    return DivergedError(
        f"The loss is {loss} at epoch {progress.epoch + 1}, step {progress.batch + 1}, "
        f"learning rate {rate:g}; last good checkpoint: {good}.",
        hint=f"Try a lower rate, e.g. --lr {recipe.learning_rate / 10:g}.",
    )


def stopped(place: str, stop: StopRequest) -> StoppedError:
    return StoppedError(
        f"Stopped {place}; all is saved.", by_user=stop.by_user, hint="Go on with: cnnreg resume"
    )
