"""The report of a comparison, as data, Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from cnnreg.files import disk_errors, write_json, write_text
from cnnreg.markdown import escape
from cnnreg.markdown import table as markdown_table

from .results import Cell, Result, Spread, best_rates, cells, panels, shared_seeds
from .verdict import METHOD, verdicts

HEADINGS = ("optimizer", ">rate", ">n", ">validation %", ">test %", ">epochs", ">minutes")
BEST_TITLE = "Each optimizer at its best learning rate, by validation accuracy"

CSV_COLUMNS = (
    "architecture", "data", "optimizer", "learning_rate", "seed", "state", "val_accuracy",
    "test_accuracy", "best_epoch", "epochs", "seconds", "host", "run", "failure",
)  # fmt: skip


def note(results: Sequence[Result]) -> str:
    text = "Mean ± sample standard deviation over n seeds."
    if len({result.host for result in results if not result.failure}) > 1:
        text += " The minutes are of different machines."
    return text


def failures(results: Iterable[Result]) -> list[str]:
    """A line for each trial that failed, with its reason."""
    return [
        f"{of.architecture} on {of.data}, {of.optimizer} {of.learning_rate:g}, seed {of.seed}, "
        f"failed: {result.failure}"
        for result in results
        if result.failure
        for of in (result.trial,)
    ]


def report_data(name: str, results: Sequence[Result]) -> dict[str, Any]:
    """All of it, JSON-ready; accuracies in 0..1."""
    table = cells(results)
    return {
        "comparison": name,
        "verdicts": [asdict(verdict) for verdict in verdicts(table)],
        "method": METHOD,
        "best": [_cell_data(cell) for cell in best_rates(table)],
        "table": [_cell_data(cell) for cell in table],
        "trials": [{**asdict(result.trial), **result.outcome()} for result in results],
    }


def _cell_data(cell: Cell) -> dict[str, Any]:
    def data(spread: Spread | None) -> dict[str, Any] | None:
        return asdict(spread) if spread else None

    return {
        "architecture": cell.architecture,
        "data": cell.data,
        "optimizer": cell.optimizer,
        "learning_rate": cell.learning_rate,
        "seeds": len(cell.results),
        "diverged": cell.diverged,
        "failed": len(cell.failed),
        "val_accuracy": data(cell.val),
        "test_accuracy": data(cell.test),
        "epochs": data(cell.epochs),
        "minutes": data(cell.minutes),
    }


def row(cell: Cell) -> tuple[str, ...]:
    """A contestant's line of a table, below HEADINGS, plain text."""
    seeds, finished = len(cell.results) + len(cell.failed), len(cell.finished)
    nothing = "diverged" if cell.diverged else "failed"
    return (
        cell.optimizer,
        f"{cell.learning_rate:g}",
        str(seeds) if finished == seeds else f"{finished} of {seeds}",
        _percent(cell.val) or nothing,
        _percent(cell.test) or nothing,
        _figure(cell.epochs, 1),
        _figure(cell.minutes, 2),
    )


def sections(results: Sequence[Result]) -> list[tuple[str, list[Cell], list[Cell]]]:
    """For each network and data set: a title, all cells, and those of the best rates."""
    table = cells(results)
    best = panels(best_rates(table))
    return [
        (f"{architecture} on {data}", group, _leader_first(best[architecture, data]))
        for (architecture, data), group in panels(table).items()
    ]


def _leader_first(group: Sequence[Cell]) -> list[Cell]:
    """By what the verdict goes by: the seeds that all have of which none diverged."""
    seeds = shared_seeds(cell for cell in group if not cell.diverged)
    return sorted(group, key=lambda cell: cell.merit(seeds), reverse=True)


def markdown(name: str, results: Sequence[Result], picture: str) -> str:
    lines = [f"# {escape(name)}", ""]
    said = verdicts(cells(results))
    lines += [f"- {escape(verdict.text)}" for verdict in said]
    lines += ["", METHOD, ""] if said else []
    lost = failures(results)
    lines += [*(f"- {escape(line)}" for line in lost), ""] if lost else []
    lines += [f"![learning curves]({picture})", "", f"## {BEST_TITLE}", "", note(results), ""]
    for title, _, best in sections(results):
        lines += [f"### {escape(title)}", "", _table(best), ""]
    lines += ["## All", ""]
    for title, table, _ in sections(results):
        lines += [f"### {escape(title)}", "", _table(table), ""]
    return "\n".join(lines)


def csv_text(results: Iterable[Result]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in results:
        values = {**asdict(result.trial), **result.outcome(), "state": result.state}
        writer.writerow([values[column] for column in CSV_COLUMNS])
    return text.getvalue()


def write_report(folder: Path, name: str, results: Sequence[Result]) -> None:
    """report.md, results.csv, results.json, curves.png and curves.svg."""
    from cnnreg.pictures.comparison import draw_comparison

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    draw_comparison(results, name, folder / "curves.png")
    write_json(folder / "results.json", report_data(name, results))
    write_text(folder / "report.md", markdown(name, results, "curves.png"))
    # Last: Excel, where it is open, lets nobody write it.
    table = csv_text(results)
    mark = "" if table.isascii() else "\ufeff"  # without it Excel takes letters for others
    write_text(folder / "results.csv", mark + table)


def _table(table: Sequence[Cell]) -> str:
    return markdown_table(HEADINGS, [tuple(map(escape, row(cell))) for cell in table])


def _percent(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return _figure(Spread(100 * spread.mean, _scaled(spread.deviation), spread.n), 2)


def _scaled(deviation: float | None) -> float | None:
    return None if deviation is None else 100 * deviation


def _figure(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "-"
    mean = f"{spread.mean:.{digits}f}"
    return mean if spread.deviation is None else f"{mean} ± {spread.deviation:.{digits}f}"
