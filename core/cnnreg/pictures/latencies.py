"""Bench results as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cnnreg.timing.bench import BenchResult

from .canvas import drawing, drawn, save

BASELINE, OTHER, TAIL = "#8a94a6", "#0f62fe", "#161616"


def draw_latencies(
    results: Sequence[BenchResult], model: str, machine: Sequence[str], path: Path
) -> None:
    """A bar to the median of each contestant, a whisker to its p90 where that fits.

    Above them stand the model and the lines that say which `machine` it is.
    """
    with drawing():
        title = "\n".join(map(drawn, (f"{model} on {machine[0]}", *machine[1:])))
        save(_latencies(results, title), path, ("png",))


def _latencies(results: Sequence[BenchResult], title: str) -> Figure:
    figure = Figure(figsize=(8, 1.2 + 0.5 * len(results)), layout="constrained")
    axes = figure.subplots()
    places = range(len(results))
    medians = [result.p50 for result in results]
    # A busy machine has tails that would shrink the bars to nothing: the axis ends before.
    limit = min(1.3 * max(result.p90 for result in results), 2 * max(medians))
    colours = [BASELINE, *[OTHER] * (len(results) - 1)]
    tails = [[0.0] * len(results), [result.p90 - result.p50 for result in results]]
    axes.barh(places, medians, color=colours, height=0.6)
    axes.errorbar(medians, places, xerr=tails, fmt="none", ecolor=TAIL, elinewidth=1, capsize=3)
    for place, result in zip(places, results, strict=True):
        axes.text(
            min(result.p90, 0.8 * limit) + 0.01 * limit,
            place,
            f"{result.p50:.2f} ms, {result.speedup:.1f}x",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    axes.set_yticks(list(places), [drawn(result.label) for result in results])
    axes.invert_yaxis()
    axes.set_xlim(0, limit)
    circumstances = f"milliseconds for {results[0].batch} image(s)"
    axes.set_xlabel(f"{circumstances}: median, whisker to p90; x: against the first")
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    return figure
