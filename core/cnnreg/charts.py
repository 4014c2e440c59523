"""Bench results as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from .bench import BenchResult
from .files import write_bytes

BASELINE, OTHER, TAIL = "#8a94a6", "#0f62fe", "#161616"


def draw_latencies(results: Sequence[BenchResult], model: str, processor: str, path: Path) -> None:
    """A bar to the median of each contestant, a whisker to its p99, fastest at the bottom."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.5 * len(results)), layout="constrained")
    axes = figure.subplots()
    places = range(len(results))
    medians = [result.p50 for result in results]
    colours = [BASELINE, *[OTHER] * (len(results) - 1)]
    tails = [[0.0] * len(results), [result.p99 - result.p50 for result in results]]
    axes.barh(places, medians, color=colours, height=0.6)
    axes.errorbar(medians, places, xerr=tails, fmt="none", ecolor=TAIL, elinewidth=1, capsize=3)
    for place, result in zip(places, results, strict=True):
        axes.text(
            result.p99 + 0.01 * max(r.p99 for r in results),
            place,
            f" {result.p50:.2f} ms, {result.speedup:.1f}x",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(list(places), [result.label for result in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(result.p99 for result in results))
    axes.set_xlabel(f"milliseconds for {results[0].batch} image(s): median, whisker to p99")
    axes.set_title(f"{model} on {processor}", fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    write_bytes(path, buffer.getvalue())
