"""A comparison's tables and verdicts on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .common import console, titled_table

if TYPE_CHECKING:
    from cnnreg.comparing.results import Result


def show(results: list[Result]) -> None:
    from cnnreg.comparing.report import BEST_TITLE, failures, note, sections
    from cnnreg.comparing.results import cells
    from cnnreg.comparing.verdict import METHOD, verdicts

    out = console()
    parts = sections(results)
    for title, table, _ in parts:
        _print_table(out, title, table)
    if any(len(table) > len(best) for _, table, best in parts):
        out.print(f"[bold]{BEST_TITLE}[/]\n")
        for title, _, best in parts:
            _print_table(out, title, best)
    out.print(f"[dim]{note(results)}[/]\n")
    for line in failures(results):
        out.print(line, style="red", markup=False)
    said = verdicts(cells(results))
    for verdict in said:
        out.print(verdict.text, markup=False)
    if said:
        out.print(f"\n[dim]{METHOD}[/]\n")


def _print_table(out: Any, title: str, table: list[Any]) -> None:
    from cnnreg.comparing.report import HEADINGS, row

    shown = titled_table(HEADINGS, title=title, title_justify="left")
    for cell in table:
        shown.add_row(*row(cell))
    out.print(shown)
    out.print()
