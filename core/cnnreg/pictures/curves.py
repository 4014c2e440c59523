"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnnreg.specs import EpochRecord

from .canvas import FORMATS, drawing, drawn, save

TRAINING, VALIDATION, BEST = "#8a94a6", "#0f62fe", "#da1e28"


def draw_curves(
    history: Sequence[EpochRecord], title: str, path: Path, formats: Sequence[str] = FORMATS
) -> None:
    """Loss and accuracy of training and validation, the best epoch marked."""
    with drawing():
        save(_curves(history, title), path, formats)


def _curves(history: Sequence[EpochRecord], title: str) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    best = [record for record in history if record.best][-1:]
    for axes, name, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        for split, colour in (("train", TRAINING), ("val", VALIDATION)):
            values = [scale * getattr(record, f"{split}_{name}") for record in history]
            label = {"train": "training", "val": "validation"}[split]
            axes.plot(epochs, values, color=colour, label=label, marker="o", markersize=3)
        for record in best:
            axes.axvline(record.epoch, color=BEST, linewidth=0.8, linestyle=":")
            axes.plot(record.epoch, scale * getattr(record, f"val_{name}"), "o", color=BEST)
        axes_of_epochs(axes, "accuracy (%)" if name == "accuracy" else "cross-entropy loss")
        axes.legend(frameon=False, fontsize=8)
    for record in best:
        accuracy.set_title(
            f"best: {100 * record.val_accuracy:.2f} % at epoch {record.epoch}",
            fontsize=9,
            color=BEST,
            loc="right",
        )
    figure.suptitle(drawn(title), fontsize=11)
    return figure


def axes_of_epochs(axes: Axes, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
