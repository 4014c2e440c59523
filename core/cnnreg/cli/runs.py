"""`cnnreg runs`."""

from __future__ import annotations

from pathlib import Path

import click

from cnnreg.errors import UsageError
from cnnreg.runs import DEFAULT_ROOT, find_run, no_run
from cnnreg.runs.overview import ORDERS, RunOverview, matching, survey
from cnnreg.specs import to_data
from cnnreg.texts import percent

from .common import (
    ListingGroup,
    folder_type,
    get_registry,
    human_time,
    json_option,
    print_columns,
    print_json,
    say,
)

root_option = click.option(
    "--root", type=folder_type, default=DEFAULT_ROOT, show_default=True, help="Where the runs are."
)


class RunsGroup(ListingGroup):
    takes_pattern = True


@click.group(cls=RunsGroup, subcommand_metavar="[PATTERN] | show [RUN]")
def command() -> None:
    """Show the trainings so far, or everything about one: `cnnreg runs show`.

    PATTERN, --sort accuracy|time|date, --root and --json are explained by
    `cnnreg runs list --help`.
    """


@command.command("list")
@click.argument("pattern", required=False)
@click.option(
    "--sort",
    "order",
    type=click.Choice(tuple(ORDERS)),
    default="date",
    show_default=True,
    help="Best on the validation split, quickest, or newest first.",
)
@root_option
@json_option
def show_all(pattern: str | None, order: str, root: Path, as_json: bool) -> None:
    """Show the runs. PATTERN is a part of a name, network or data set, or uses * and ?.

    Where there is none, that is said on stderr, and no error.
    """
    if root != DEFAULT_ROOT and not root.is_dir():
        raise UsageError("There is no such folder.", where=root)
    runs = survey(root, order)
    found = matching(runs, pattern)
    if not runs:
        say(str(no_run(root)))
    elif not found:
        say(f"No run matches '{pattern}'; `cnnreg runs` shows all.")
    if as_json:
        print_json([to_data(run) for run in found])
    if as_json or not found:
        return
    titles = ("name", "network", "data", ">val", ">test", ">epochs", ">time", "state", ">exports")
    print_columns(titles, map(_row, found))
    for run in found:
        if run.state == "damaged":
            say(f"{run.name}: {run.detail}")


@command.command()
@click.argument("run", type=folder_type, required=False)
@root_option
@json_option
def show(run: Path | None, root: Path, as_json: bool) -> None:
    """Show everything about RUN, a folder or a name, or about the newest run."""
    from .run_details import details, print_details

    opened = find_run(run, root)
    found = details(get_registry(), opened)
    if as_json:
        print_json(found)
        return
    print_details(opened, found)


def _row(run: RunOverview) -> tuple[str, ...]:
    if run.state == "damaged":
        return run.name, "", "", "", "", "", "", run.state, ""
    return (
        run.name,
        run.network,
        run.data or "-",
        percent(run.val_accuracy),
        percent(run.test_accuracy),
        f"{run.epochs}/{run.planned_epochs}" if run.planned_epochs else "-",
        human_time(run.seconds) if run.planned_epochs else "-",
        run.status,
        str(len(run.exports) or "-"),
    )
