"""The training loop: one visible for-loop, everything it needs in its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional

from cnnreg.errors import DivergedError, StoppedError
from cnnreg.specs import EpochRecord, Recipe

from .batches import Batch, TrainingBatches
from .progress import Progress
from .schedule import learning_rate
from .stopping import StopRequest


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: TrainingBatches,
    *,
    validation: Callable[[], Iterable[Batch]],
    recipe: Recipe,
    progress: Progress,
    device: torch.device,
    aux_weight: float,
    on_step: Callable[[Progress], None],
    on_stop: Callable[[], None],
    stop: StopRequest,
) -> Iterator[EpochRecord]:
    """Train from where `progress` stands, yielding each epoch as it ends.

    Raises DivergedError if the loss stops being a number, and StoppedError, after
    calling `on_stop` to save, at the end of the step during which `stop` was asked.
    """
    while not progress.finished(recipe):
        model.train()
        rate = learning_rate(recipe, max(0, progress.step - 1), len(batches))
        started = perf_counter()
        for batch in batches.epoch(progress.epoch, start=progress.batch):
            rate = learning_rate(recipe, progress.step, len(batches))
            for group in optimizer.param_groups:
                group["lr"] = rate
            images, labels = batch.images.to(device), batch.labels.to(device)
            with autocast(recipe.precision, device):
                logits, *auxiliary = heads(model(images))
                loss = criterion(logits, labels, recipe)
                for output in auxiliary:
                    loss = loss + aux_weight * criterion(output, labels, recipe)
            value = loss.item()
            if not math.isfinite(value):
                raise _diverged(value, progress, rate)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            correct = int((logits.argmax(1) == labels).sum())
            now = perf_counter()
            progress.count(images=len(labels), loss=value, correct=correct, seconds=now - started)
            started = now
            on_step(progress)
            if stop:
                on_stop()
                place = f"at epoch {progress.epoch + 1}, step {progress.batch}/{len(batches)}"
                raise stopped(place, stop)
        started = perf_counter()
        try:
            val_loss, val_accuracy = evaluate(
                model, validation(), device=device, recipe=recipe, stop=stop
            )
        except StoppedError:  # saved as it stands, the epoch is validated on going on
            on_stop()
            raise
        yield progress.finish_epoch(
            learning_rate=rate,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            val_seconds=perf_counter() - started,
        )
        if stop:  # asked during validation: the epoch is saved by now
            raise stopped(f"after epoch {progress.epoch}", stop)


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    recipe: Recipe,
    stop: StopRequest,
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy (0..1) over all images, in evaluation mode.

    Raises StoppedError as soon as `stop` is asked.
    """
    model.eval()
    loss_sum, correct, count = 0.0, 0, 0
    for batch in batches:
        if stop:
            raise stopped("while evaluating", stop)
        images, labels = batch.images.to(device), batch.labels.to(device)
        with autocast(recipe.precision, device):
            logits = model(images)
        loss_sum += functional.cross_entropy(logits.float(), labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
        count += len(labels)
    return loss_sum / count, correct / count


def criterion(logits: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    return functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)


def heads(output: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The logits, then those of auxiliary heads if the network has any."""
    return (output,) if isinstance(output, Tensor) else output


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def _diverged(loss: float, progress: Progress, rate: float) -> DivergedError:
    good = f"epoch {progress.best.epoch}" if progress.best else "none"
    return DivergedError(
        f"The loss is {loss} at epoch {progress.epoch + 1}, step {progress.batch + 1}, "
        f"learning rate {rate:g}; last good checkpoint: {good}.",
        hint=f"Try a lower rate, e.g. --lr {rate / 10:g}.",
    )


def stopped(place: str, stop: StopRequest) -> StoppedError:
    return StoppedError(
        f"Stopped {place}; all is saved.", by_user=stop.by_user, hint="Go on with: cnnreg resume"
    )
