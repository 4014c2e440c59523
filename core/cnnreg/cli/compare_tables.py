"""What came of a comparison: its report, and tables and verdicts on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnreg.errors import CnnregError, UsageError

from .common import console, end, print_json, titled_table

if TYPE_CHECKING:
    from cnnreg.comparing.results import Result


def tell(
    folder: Path,
    name: str,
    results: list[Result],
    failures: Mapping[str, CnnregError],
    *,
    as_json: bool,
) -> None:
    """Show and write the report, of what there is; raises what a contestant failed of."""
    from cnnreg.comparing.report import report_data, write_report

    finished = {result.trial.name for result in results if not result.failure}  # by others, too
    failure = next((why for of, why in failures.items() if of not in finished), None)
    if failure and all(result.failure for result in results):
        raise failure
    if not results:
        raise UsageError("This comparison holds no trials.", where=folder)
    if not as_json:
        _show(results)
    write_report(folder, name, results)
    if as_json:  # one document: a report that cannot be written is an error alone
        print_json({"folder": folder, **report_data(name, results)})
    else:
        for label, file in (("report", "report.md"), ("curves", "curves.png")):
            console().print(f"{label:<6} {folder / file}", markup=False, soft_wrap=True)
    if failure:
        end(failure, as_json=as_json)


def _show(results: list[Result]) -> None:
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
