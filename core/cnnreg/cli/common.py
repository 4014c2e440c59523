"""What the commands share: the registry, consoles, tables and figures for people."""

from __future__ import annotations

import functools
import glob
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from math import isnan
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, NoReturn, TypeVar, cast

import click

from cnnreg.errors import CnnregError
from cnnreg.files import WINDOWS
from cnnreg.output import quiet_stdout, results_stdout
from cnnreg.registry import Registry, load_registry
from cnnreg.specs import Shape, to_data
from cnnreg.termination import stop_if_asked
from cnnreg.texts import aligned

from .windows import takes_escapes

folder_type = click.Path(path_type=Path)

Callback = TypeVar("Callback", bound=Callable[..., Any])
READABLE = 20  # characters


def json_option(callback: Callback) -> Callback:
    """Decorator: adds --json. What a plugin prints meanwhile, in a forward pass, say, is no result.

    Only what goes through this file's functions reaches stdout.
    """

    @functools.wraps(callback)
    def quietly(*args: Any, **kwargs: Any) -> Any:
        with quiet_stdout():
            return callback(*args, **kwargs)

    flag = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    return cast(Callback, flag(quietly))


def spread(
    context: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]
) -> tuple[Path, ...]:
    """Callback: `*.jpg` as the files it means, where the shell leaves that to the program."""
    return tuple(found for path in paths for found in wildcards(path)) if WINDOWS else paths


def wildcards(path: Path) -> list[Path]:
    """The files that a pattern means; the path itself if it is there, or nothing is meant."""
    if path.exists():
        return [path]
    pattern = str(path).replace("[", "[[]")  # which Windows' shells take as they are
    found = sorted(glob.glob(pattern))  # noqa: PTH207 - a pattern may be absolute
    return [Path(name) for name in found] or [path]


class NumberRange(click.FloatRange):
    """click's own takes NaN, which is within any limits and beyond none."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if isnan(number):
            self.fail("nan is not a number.", param, ctx)
        return number


class ListingGroup(click.Group):
    """A group that lists where no command is named: `cnnreg plugins --json`."""

    takes_pattern = False  # whether a word that is no command is what to list

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        asks_help = first in ctx.help_option_names
        is_option = first.startswith("-") and not asks_help
        is_pattern = self.takes_pattern and first not in self.commands and not asks_help
        if not args or is_option or is_pattern:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@functools.cache
def get_registry() -> Registry:
    """The registry, with one line on stderr for each plugin that is broken."""
    registry = load_registry()
    for plugin in registry.plugins:
        if plugin.state == "failed":
            package = f" ({plugin.package})" if plugin.package else ""
            say(f"plugin '{plugin.name}'{package} does not work: {plugin.reason}")
    return registry


def speaks() -> bool:
    """Whether this process is for people to hear: of those that torchrun starts, the first."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A remark for the person at the terminal: one line on stderr."""
    if not speaks():
        return
    # Not `err=True`, which on Windows writes past the progress bar that rich keeps below.
    click.echo(f"{click.style('note:', fg='yellow')} {text}", file=sys.stderr)


def print_json(data: Any) -> None:
    stop_if_asked()  # a document of its own, and there is but one
    # ASCII alone: a pipe on Windows has the encoding of a console, which lacks most letters.
    click.echo(json.dumps(to_data(data), indent=2, allow_nan=False), file=results_stdout())


def end(error: CnnregError, *, as_json: bool) -> NoReturn:
    """Raise an error that comes after the results: with --json stdout has its one document."""
    if not as_json:
        raise error
    say(str(error))
    raise click.exceptions.Exit(error.exit_code) from error


def print_columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table, without rich, which would take longer to load than `list` may.

    A title that starts with ">" is of a column aligned to the right.
    """
    lines = aligned(titles, rows)
    out = results_stdout()
    # A last column of text is cut at the edge of a terminal, or left out where that would leave
    # nothing to read; never where a program reads.
    if out.isatty() and not titles[-1].startswith(">"):
        *before, last = map(len, lines[0])
        room = get_terminal_size().columns - sum(before) - 2 * len(before)
        readable = room >= min(last, READABLE)
        lines = [
            [*cells, _cut(text.rstrip(), room)] if readable else cells for *cells, text in lines
        ]
    for number, cells in enumerate(lines):
        if number == 0:
            click.secho("  ".join(cells).rstrip(), file=out, bold=True)
        else:
            row = f"{click.style(cells[0], fg='cyan')}  {'  '.join(cells[1:])}"
            click.echo(row.rstrip(), file=out)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def titled_table(titles: Sequence[str], **look: Any) -> Any:
    """An empty table of rich's with these titles: one that starts with ">" is of figures,
    aligned to the right and never folded.
    """
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, **look)
    for title in titles:
        if title.startswith(">"):
            table.add_column(title[1:], justify="right", no_wrap=True)
        else:
            table.add_column(title, overflow="fold")
    return table


def console(*, stderr: bool = False) -> Any:
    """A rich console; wide when piped, so that nothing is cut where nobody sees it.

    COLUMNS is the width of a terminal, though a shell may export it to pipes too.
    """
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with 1, as if something had failed

    file = None if stderr else results_stdout()
    # Asked here, for rich asks stdout alone, which may be a file while stderr is a console.
    legacy = not takes_escapes()
    made = Piped(
        file=file, stderr=stderr, highlight=False, quiet=not speaks(), legacy_windows=legacy
    )
    if not made.is_terminal:
        made.width = 200
    return made


def human_count(number: int | float) -> str:
    """1234567 as 1.23 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def shape_text(shape: Shape) -> str:
    channels, height, width = shape
    return f"{channels}x{height}x{width}"


def human_bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def human_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{seconds:.1f} s"


def show_time(moment: str) -> str:
    """An ISO moment, to the minute."""
    from datetime import datetime

    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}"
