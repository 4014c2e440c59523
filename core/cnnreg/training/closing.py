"""The end of a training: one look at the test split, and everything that shows what came of it.

The result is written before any picture is tried, and report.json after all of
them: a run without it was cut short here, and going on makes what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cnnreg.data import Dataset
from cnnreg.errors import DivergedError, one_line
from cnnreg.files import patiently
from cnnreg.networks.summary import write_summary
from cnnreg.pictures.answers import draw_classes, draw_confusion, draw_mistakes
from cnnreg.pictures.curves import draw_curves
from cnnreg.plugins import blaming
from cnnreg.runs import Run, write_result
from cnnreg.runs.report import Report, make_report, write_report
from cnnreg.specs import ArchitectureSpec, EpochRecord

from .building import memory_format
from .feeding.batches import Batch
from .feeding.splits import judging_batches
from .loop import stopped
from .saving.checkpoint import Checkpoint, model_of, read_checkpoint
from .saving.progress import Progress
from .stopping import StopRequest

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

Note = Callable[[str], None]


def finish(
    run: Run,
    dataset: Dataset,
    architecture: ArchitectureSpec,
    progress: Progress,
    *,
    device: torch.device,
    stop: StopRequest,
    note: Note,
) -> None:
    """Measure the best weights on the test split, and write the result and all that shows it.

    In a network built anew from the file: what the trained one keeps outside its tensors is
    not in what `eval` and `export` will have.
    """
    kept, epoch, val_accuracy = _best(run, progress, note)
    model = model_of(kept, architecture, run.best)
    model.to(device, memory_format=memory_format(run.config.recipe))  # type: ignore[call-overload]
    batches = judging_batches(dataset.test, run.config.contract, run.config.recipe)
    with blaming(f"Testing '{run.config.contract.architecture}'"):
        report = examine(model, dataset, batches, device=device, epoch=epoch, stop=stop)
    result = {
        "epochs": progress.epoch,
        "best_epoch": epoch,
        "val_accuracy": val_accuracy,
        "test_accuracy": report.accuracy,
        "seconds": sum(record.seconds for record in progress.history),
        "stopped_early": progress.epoch < run.config.recipe.epochs,
    }
    write_result(run.folder, result)
    try:  # it was for going on, and costs as much as the last
        patiently(run.previous.unlink, missing_ok=True)
    except OSError as error:  # a file too many is no failed training
        note(f"{run.previous} could not be removed: {error.strerror or error}")
    show_what_came_of_it(
        run,
        model,
        report,
        pixels=dataset.test.pixels,
        history=progress.history,
        stop=stop,
        note=note,
    )


def _best(run: Run, progress: Progress, note: Note) -> tuple[Checkpoint, int, float]:
    """The best weights, their epoch and validation accuracy."""
    if not any(record.best for record in progress.history):
        raise DivergedError("No epoch had a validation loss that is a number.", where=run.folder)
    kept, best = read_checkpoint(run.best), progress.best or progress.history[-1]
    # What the file says: killed between it and the state, and gone on with otherwise, a
    # training may have a history without that epoch.
    epoch = kept.state.get("epoch", best.epoch)
    val_accuracy = kept.state.get("val_accuracy", best.val_accuracy)
    if progress.best and (epoch, val_accuracy) != (best.epoch, best.val_accuracy):
        note(f"the best weights are of another epoch {epoch}, before the training was changed")
    return kept, epoch, val_accuracy


@torch.inference_mode()
def examine(
    model: nn.Module,
    dataset: Dataset,
    batches: Iterable[Batch],
    *,
    device: torch.device,
    epoch: int,
    stop: StopRequest,
) -> Report:
    """One pass over the test split, whose `batches` these are; `epoch` is the weights'.

    Raises StoppedError as soon as `stop` is asked.
    """
    model.eval()
    labels, predicted, confidence = [], [], []
    for batch in batches:
        if stop:
            raise stopped("while evaluating", stop)
        logits = model(batch.images.to(device)).float()
        chosen = logits.argmax(1, keepdim=True)
        labels.append(batch.labels.numpy())
        predicted.append(chosen[:, 0].cpu().numpy())
        confidence.append(logits.softmax(1).gather(1, chosen)[:, 0].cpu().numpy())
    return make_report(
        np.concatenate(labels),
        np.concatenate(predicted),
        np.concatenate(confidence),
        classes=dataset.classes,
        files=dataset.test.files,
        epoch=epoch,
    )


def show_what_came_of_it(
    run: Run,
    model: nn.Module,
    report: Report,
    *,
    pixels: Pixels,
    history: Sequence[EpochRecord],
    stop: StopRequest,
    note: Note,
) -> None:
    """Pictures, summary and report; `pixels` are the test split's.

    One that cannot be made is noted and costs nothing else. Raises StoppedError before
    the next one as soon as `stop` is asked.
    """
    contract = run.config.contract
    title = f"{contract.architecture} on {run.config.data.label}, {run.name}"
    with _attempt("the learning curves", stop, note):
        draw_curves(history, run.name, run.curves)
    with _attempt("the confusion matrix", stop, note):
        draw_confusion(report, title, run.folder / "confusion.png")
    with _attempt("the chart of the classes", stop, note):
        draw_classes(report, title, run.folder / "classes.png")
    with _attempt("the picture of the mistakes", stop, note):
        draw_mistakes(report, pixels, title, run.folder / "mistakes.png")
    with _attempt("the model summary", stop, note):
        write_summary(run.folder, model, contract)
    with _attempt("the report", stop, note):
        write_report(run.report, report)


@contextmanager
def _attempt(what: str, stop: StopRequest, note: Note) -> Iterator[None]:
    if stop:
        raise stopped(f"before making {what}", stop)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a picture less is no failed training
        note(f"{what} could not be made: {one_line(error)}")
