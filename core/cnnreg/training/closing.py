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
from cnnreg.plugins import one_line
from cnnreg.runs import Run
from cnnreg.runs.report import Report, make_report, write_report
from cnnreg.specs import EpochRecord

from .batches import Batch
from .curves import draw_curves
from .loop import stopped
from .pictures import draw_classes, draw_confusion, draw_mistakes
from .stopping import StopRequest
from .summary import write_summary

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

Note = Callable[[str], None]


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
