"""All learning curves of a comparison in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from cnnreg.comparing.results import Cell, Result, best_rates, cells, panels

from .canvas import drawing, drawn, save
from .curves import axes_of_epochs

# IBM's palette for charts of categories: told apart by the colour-blind too.
COLOURS = ("#0f62fe", "#da1e28", "#198038", "#8a3ffc", "#b28600", "#009d9a", "#161616", "#ee5396")
HEIGHT, WIDTH = 3.4, 11.0  # inches of one network on one data set


def draw_comparison(results: Sequence[Result], title: str, path: Path) -> None:
    """A row for each network and data set: training loss, validation accuracy.

    An optimizer at its best rate is a line, the mean of its seeds, in a band from the
    lowest seed to the highest, as far as all went; from there each goes on alone, dotted,
    as one does that diverged.
    Its other rates are thin lines.
    """
    with drawing():
        save(_comparison(results, title), path)


def _comparison(results: Sequence[Result], title: str) -> Figure:
    table = [cell for cell in cells(results) if cell.results]
    best = set(map(id, best_rates(table)))
    grouped = panels(table)
    optimizers = list(dict.fromkeys(cell.optimizer for cell in table))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(optimizers)}
    figure = Figure(figsize=(WIDTH, 0.8 + HEIGHT * len(grouped)), layout="constrained")
    rows = figure.subplots(len(grouped), 2, squeeze=False)
    for (loss, accuracy), ((architecture, data), group) in zip(rows, grouped.items(), strict=True):
        for axes, curve, scale in ((loss, "train_loss", 1), (accuracy, "val_accuracy", 100)):
            for cell in group:
                colour, leading = colours[cell.optimizer], id(cell) in best
                _draw(axes, cell, curve, scale, colour, leading=leading)
            _look_at(axes, [cell for cell in group if id(cell) in best], curve, scale)
        axes_of_epochs(loss, "training loss")
        axes_of_epochs(accuracy, "validation accuracy (%)")
        loss.set_title(drawn(f"{architecture} on {data}"), fontsize=10, loc="left")
        accuracy.legend(
            frameon=False, fontsize=8, title="best rate (others thin)", title_fontsize=8,
            loc="center left", bbox_to_anchor=(1.0, 0.5),
        )  # fmt: skip
    seeds = max(len(cell.results) for cell in table)
    over = "one seed" if seeds == 1 else f"mean and range of {seeds} seeds"
    figure.suptitle(drawn(f"{title}: {over}"), fontsize=11)
    return figure


def _draw(axes: Axes, cell: Cell, curve: str, scale: int, colour: str, *, leading: bool) -> None:
    def values(of: Result) -> list[float]:
        return [float("nan") if v is None else scale * v for v in of.curves[curve]]

    whole = [values(result) for result in cell.finished or cell.results]
    shared = min(map(len, whole))
    epochs = range(1, shared + 1)
    together = list(zip(*whole, strict=False))
    means = [sum(items) / len(items) for items in together]
    if not leading:
        axes.plot(epochs, means, color=colour, linewidth=0.7, alpha=0.4)
        return
    label = drawn(cell.label) + (f", {cell.diverged} diverged" if cell.diverged else "")
    axes.plot(epochs, means, color=colour, linewidth=1.6, marker="o", markersize=3, label=label)
    lows, highs = [min(items) for items in together], [max(items) for items in together]
    axes.fill_between(epochs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    if shared == 1:  # a band of no width
        axes.vlines(1, lows[0], highs[0], color=colour, alpha=0.5, linewidth=1.2)
    alone = [(max(shared, 1), own) for own in whole]
    alone += [(1, values(result)) for result in cell.results if result.diverged and cell.finished]
    for first, own in alone:
        rest = own[first - 1 :]
        axes.plot(range(first, first + len(rest)), rest, color=colour, linewidth=0.8, linestyle=":")


def _look_at(axes: Axes, leading: Sequence[Cell], curve: str, scale: int) -> None:
    """Limits by what matters: a rate that went astray may leave the picture."""
    values = [
        scale * value
        for cell in leading
        for result in cell.results
        for value in result.curves[curve]
        if value is not None
    ]
    if not values:
        return
    low, high = min(values), max(values)
    if curve == "train_loss" and low > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        margin = 0.05 * (high - low) + 0.01
        axes.set_ylim(low - margin, high + margin)
