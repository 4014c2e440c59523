"""The one place where errors end: said in a line or as JSON, and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

from cnnreg.errors import (
    REINSTALL,
    CnnregError,
    MachineError,
    MissingExtraError,
    StoppedError,
    is_out_of_memory,
    is_unloadable,
    text_of,
)
from cnnreg.termination import Terminated, terminable

from .app import color, run
from .windows import hear_closing


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: results on stdout, everything else on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    debug = "--debug" in arguments or os.environ.get("CNNREG_DEBUG") == "1"
    arguments = [argument for argument in arguments if argument != "--debug"]
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console's code page must not end a command
            stream.reconfigure(errors="replace")
    hear_closing()
    try:
        with terminable():
            run(arguments)
        sys.stdout.flush()
    except click.exceptions.Exit as end:  # --help and --version
        sys.exit(end.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort) as stop:
        said = "Stopped at once; what was saved before is whole."
        stopped = StoppedError(said, by_user=not isinstance(stop, Terminated))
        sys.exit(_report(stopped, as_json=as_json))
    except SystemExit:  # of a plugin's command
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary
        if debug:
            import traceback

            _tell(traceback.format_exc())
        sys.exit(_report(error, as_json=as_json))
    sys.exit(0)


def _nowhere() -> TextIO:
    """For a stream that the caller closed, or that never was, as in Windows' pythonw."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _report(error: BaseException, *, as_json: bool) -> int:
    """Say what, where and what to do; returns the exit code."""
    from .common import speaks

    if reader_has_gone(error):
        _discard_output()
        return 141
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _tell(error.format_message(), err=False)
        return 0
    if isinstance(error, (click.UsageError, StoppedError)) and not speaks():
        return error.exit_code  # the first process says it
    known = as_known(error)
    if as_json:
        finished = {"finished": known.finished} if known.finished else {}
        _tell(json.dumps({"error": _error_data(known)} | finished), err=False)
    else:
        lines = [f"{click.style('error:', fg='red', bold=True)} {known.what}"]
        lines += [f"  where: {known.where}"] if known.where else []
        lines += [f"  try: {known.hint}"] if known.hint else []
        _tell("\n".join(lines))
    return known.exit_code


def _tell(text: str, *, err: bool = True) -> None:
    """Say it if anybody is there to hear it: else the exit code says it alone."""
    try:
        click.echo(text, file=sys.stderr if err else sys.stdout, color=color())
        sys.stdout.flush()  # what was printed before it
    except OSError:
        _discard_output()


def reader_has_gone(error: BaseException) -> bool:
    """As in `cnnreg list | head -1`, which is no error; Windows has no name for it."""
    if os.name == "nt" and isinstance(error, OSError):
        # EINVAL is also a file that cannot have its name, and what errno has no name for.
        unnamed = error.filename is None and getattr(error, "winerror", None) is None
        invalid = error.errno == errno.EINVAL and unnamed
        return isinstance(error, BrokenPipeError) or invalid
    return isinstance(error, BrokenPipeError)


def _discard_output() -> None:
    """Python flushes both streams once more on exit: what is left in them has to go somewhere."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # one that is no file has nowhere to break
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def as_known(error: BaseException) -> CnnregError:
    """Any error as one that says what happened, and what to do."""
    if isinstance(error, CnnregError):
        return error
    if isinstance(error, click.ClickException):
        from cnnreg.errors import UsageError

        usage = getattr(error, "ctx", None)
        hint = f"{usage.command_path} --help" if usage else ""
        return UsageError(error.format_message(), hint=hint)
    return _of_the_machine(error) or CnnregError(
        f"Internal error: {type(error).__name__}: {text_of(error)[:300]}",
        hint="Run again with --debug and report what it prints.",
    )


def _of_the_machine(error: BaseException) -> MachineError | None:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return MissingExtraError(error.name, "train")
    if is_unloadable(error):
        return MachineError(f"A library does not load: {text_of(error)}.", hint=REINSTALL)
    if is_out_of_memory(error):
        return MachineError("Out of memory.", hint="Try smaller batches or images.")
    if isinstance(error, OSError):
        return MachineError(f"{error.strerror or error}.", where=error.filename)
    return None


def _error_data(error: CnnregError) -> dict[str, Any]:
    return {
        "code": type(error).__name__.removesuffix("Error").lower(),
        "exit": error.exit_code,
        "message": error.what,
        "path": error.where,
        "hint": error.hint,
    }
