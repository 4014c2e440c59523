"""What was recognised and what was not, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from cnnreg.runs.report import ClassResult, Report

from .canvas import drawing, drawn, labels, save, shorten

if TYPE_CHECKING:
    from cnnreg.specs import Pixels

RIGHT, WRONG, INK, PALE = "#0f62fe", "#da1e28", "#161616", "#8a94a6"
COUNTED = 25  # classes up to which the matrix shows its counts
NAMED = 120  # labels that an axis has room for
SHOWN = 24  # mistakes in the grid
ROWS = 34  # bars in a column
TO_RIGHT = "\u200e"  # a mark without a shape: a Hebrew or Arabic name must not turn the arrow


def draw_confusion(report: Report, title: str, path: Path) -> None:
    """Shares of each true class: blue what was recognised, red what it was taken for."""
    with drawing():
        save(_confusion(report, title), path)


def draw_classes(report: Report, title: str, path: Path) -> None:
    """The accuracy of each class, the worst first."""
    with drawing():
        save(_classes(report, title), path)


def draw_mistakes(report: Report, pixels: Pixels, title: str, path: Path) -> None:
    """The most confident mistakes; `pixels` are those of the whole split."""
    with drawing():
        save(_mistakes(report, pixels, title), path)


# --- Confusion matrix -----------------------------------------------------------------


def _confusion(report: Report, title: str) -> Figure:
    names = list(_short_names(report, longest=18).values())
    counts = np.array(report.confusion)
    shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
    diagonal = np.eye(len(names), dtype=bool)
    # Few images lie off the diagonal: their own scale, its low end stretched.
    worst = max(0.1, float(shares[~diagonal].max()))
    scales = (
        (diagonal, _colours(RIGHT), PowerNorm(1, 0, 1)),
        (~diagonal, _colours(WRONG), PowerNorm(0.5, 0, worst)),
    )
    side = min(13.0, max(4.6, 3.0 + 0.42 * len(names)))
    figure = Figure(
        figsize=(side + 1.6, side + (0.2 if len(names) <= COUNTED else 0.9)), layout="constrained"
    )
    axes = figure.subplots()
    for mask, colours, norm in scales:
        axes.imshow(np.ma.array(shares, mask=~mask), cmap=colours, norm=norm)
    if len(names) <= COUNTED:
        _print_counts(axes, counts, shares, worst)
    _name_axes(axes, names)
    for (_, colours, norm), text in zip(
        reversed(scales), ("taken for another class", "recognised"), strict=True
    ):
        bar = figure.colorbar(
            ScalarMappable(norm, colours),
            ax=axes,
            shrink=min(0.5, 4 / side),
            aspect=28,
            pad=0.015,
            format=_percent,
        )
        bar.set_label(f"{text} (share of the row)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    _head(figure, title, f"{100 * report.accuracy:.2f} % of {report.images:,} test images")
    return figure


def _print_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray, worst: float) -> None:
    size = 9 if counts.max() < 1000 else 7.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            limit = 0.5 if row == column else 0.35 * worst
            colour = "white" if shares[row, column] > limit else INK
            axes.text(
                column, row, str(count), ha="center", va="center", fontsize=size, color=colour
            )


def _name_axes(axes: Axes, names: Sequence[str]) -> None:
    count = len(names)
    every = ceil(count / NAMED)
    places = range(0, count, every)
    size = 9 if count <= COUNTED else max(4.5, 9 - count / 25)
    upright = 90 if count > COUNTED or max(map(len, names)) > 3 else 0
    axes.set_xticks(places, names[::every], rotation=upright, fontsize=size)
    axes.set_yticks(places, names[::every], fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if count <= NAMED:
        borders = np.arange(count + 1) - 0.5
        axes.set_xticks(borders, minor=True)
        axes.set_yticks(borders, minor=True)
        axes.grid(which="minor", color="#e4e7ec", linewidth=0.6 if count <= COUNTED else 0.25)
        axes.tick_params(which="minor", length=0)


def _colours(colour: str) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("shares", ["#ffffff", colour])


# --- Bars -----------------------------------------------------------------------------


def _classes(report: Report, title: str) -> Figure:
    tested = [result for result in report.classes if result.accuracy is not None]
    ranked = sorted(tested, key=lambda result: result.accuracy or 0)[:NAMED]
    columns = ceil(len(ranked) / ROWS)
    rows = ceil(len(ranked) / columns)
    figure = Figure(figsize=(max(7.0, 4.6 * columns), 1.5 + 0.27 * rows), layout="constrained")
    names = _short_names(report, longest=24)
    for number, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        part = ranked[number * rows : (number + 1) * rows]
        _bars(axes, part, [names[result.name] for result in part], report.accuracy, rows)
    worst = "" if len(ranked) == len(tested) else f" (the {len(ranked)} worst)"
    untested = len(report.classes) - len(tested)
    rest = f"; {untested} without test images" if untested else ""
    _head(figure, title, f"accuracy of each class on the test images{worst}{rest}")
    return figure


def _bars(
    axes: Axes, part: Sequence[ClassResult], names: Sequence[str], overall: float, rows: int
) -> None:
    values = [100 * (result.accuracy or 0) for result in part]
    axes.barh(
        range(len(part)),
        values,
        height=0.68,
        color=[RIGHT if value >= 100 * overall else PALE for value in values],
    )
    for place, (value, result) in enumerate(zip(values, part, strict=True)):
        axes.text(
            102, place, f"{value:.1f} %  of {result.support:,}", va="center", fontsize=8, color=INK
        )
    axes.axvline(100 * overall, color=WRONG, linewidth=1, linestyle=":")
    axes.text(
        100 * overall, -0.75, f"all {100 * overall:.1f} %", color=WRONG, fontsize=8, ha="center"
    )
    axes.set_yticks(range(len(part)), names, fontsize=8)
    axes.set_xlim(0, 100)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlabel("accuracy (%)", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)


# --- Mistakes -------------------------------------------------------------------------


def _mistakes(report: Report, pixels: Pixels, title: str) -> Figure:
    shown = report.mistakes[:SHOWN]
    wrong = report.images - round(report.accuracy * report.images)
    columns = min(6, max(4, len(shown)))
    rows = ceil(len(shown) / columns)
    names = _short_names(report, longest=16)
    head, tile, words, foot = 0.55, 1.8, 0.45, 0.08  # inches
    width, height = tile * columns, head + (tile + words) * rows + foot
    figure = Figure(figsize=(width, height))
    # One pair of axes for all, in inches: a pair for each takes ten times as long.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    for number, mistake in enumerate(shown):
        row, column = divmod(number, columns)
        left, bottom = (column + 0.04) * tile, height - head - (row + 1) * (tile + words)
        _show(axes, pixels[mistake.index], left, bottom, 0.92 * tile)
        answer = _answer(names[mistake.true], names[mistake.predicted], mistake.confidence)
        place = left + 0.46 * tile, bottom + 0.92 * tile + 0.06
        axes.text(*place, answer, ha="center", va="bottom", fontsize=8.5, color=INK)
    part = "all" if len(shown) == wrong else "the most confident of"
    what = f"{part} {wrong:,} mistakes in {report.images:,} test images"
    _head(
        figure,
        title,
        what if shown else f"no mistake in {report.images:,} test images",
        top=1 - 0.1 / height,
    )
    return figure


def _show(axes: Axes, image: np.ndarray, left: float, bottom: float, side: float) -> None:
    """The image as large as it fits into a square, its middle in the square's."""
    height, width = image.shape[:2]
    wide, high = side * min(1, width / height), side * min(1, height / width)
    left, bottom = left + (side - wide) / 2, bottom + (side - high) / 2
    axes.imshow(
        image[:, :, 0] if image.shape[2] == 1 else image,
        extent=(left, left + wide, bottom, bottom + high),
        cmap="gray" if image.shape[2] == 1 else None,
        vmin=0,
        vmax=255,
        interpolation="nearest" if max(image.shape) < 64 else "antialiased",
        aspect="auto",
    )


# --- Words ----------------------------------------------------------------------------


def _answer(true: str, predicted: str, confidence: float) -> str:
    gap = " " if len(true) + len(predicted) < 14 else "\n"
    parts = (true, f"{gap}{TO_RIGHT}→ {predicted}", f"  {100 * confidence:.0f} %")
    return TO_RIGHT + TO_RIGHT.join(parts)


def _short_names(report: Report, longest: int) -> dict[str, str]:
    names = [result.name for result in report.classes]
    return dict(zip(names, labels(names, longest), strict=True))


def _head(figure: Figure, title: str, what: str, top: float | None = None) -> None:
    text = f"{drawn(shorten(title, 80))}\n{what}"
    figure.suptitle(text, fontsize=10, x=0.012, y=top, ha="left", linespacing=1.4)


def _percent(share: float, position: object = None) -> str:
    return f"{100 * share:.3g} %"
