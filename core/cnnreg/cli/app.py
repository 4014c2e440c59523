"""The command line: one file a command, loaded when it is called, and one error boundary."""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any, TextIO

import click

from cnnreg import __version__
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

# Each command's line of help stands here, so that `--help` imports none of them.
COMMANDS = {
    "list": "Show networks, data sets, optimizers, formats and runtimes.",
    "info": "Show one network: paper, size, cost and its stages.",
    "train": "Train a network.",
    "runs": "Show the trainings so far, or everything about one.",
    "import": "Make a run of weights that were trained elsewhere.",
    "resume": "Go on with a training that was stopped.",
    "compare": "Train networks, optimizers and learning rates under equal conditions.",
    "export": "Write a trained run as ONNX or OpenVINO, proven equal first.",
    "eval": "Measure a model's accuracy on a split of the data.",
    "predict": "Name what is in pictures.",
    "bench": "Time a run and its exports in every runtime.",
    "plugins": "Show, check, make, disable and enable plugins.",
    "doctor": "Show this machine, its devices, and what is missing.",
    "quickstart": "A minute, offline: train, export, prove, time, predict.",
}


class LazyGroup(click.Group):
    """Imports a command when it is called; asks plugins only for what it does not know."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:  # as many other programs have it
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *_plugin_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module_name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
            module = import_module(f"{__package__}.{module_name}")
            command: click.Command = module.command
            return command
        return _plugin_commands().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        known = self.list_commands(ctx)
        near = [other for other in known if other.endswith(f":{name}")]
        near = near or get_close_matches(name, known, n=2)
        guess = f" Did you mean {' or '.join(near)}?" if near else ""
        raise click.UsageError(f"No such command '{name}'.{guess}", ctx)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise
        except (KeyboardInterrupt, SystemExit):  # a command may end with a code of its own
            raise
        except BaseException as error:
            name = ctx.invoked_subcommand
            if name is None or name in COMMANDS:
                raise
            from cnnreg.plugins import blaming

            with blaming(f"Command '{name}' of a plugin"):
                raise error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        try:
            added = _plugin_commands()
        except CnnregError as error:  # help must come whatever is broken
            from .common import say

            say(str(error))
            return
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [(name, command.get_short_help_str()) for name, command in added.items()]
                )


def _plugin_commands() -> dict[str, click.Command]:
    """By name; one that others have too answers only to `plugin:name`."""
    from cnnreg.plugins import notify_one

    from .common import get_registry, say

    hook = get_registry().manager.hook.cnnreg_commands
    offered: dict[str, dict[str, click.Command]] = {}
    for implementation in hook.get_hookimpls():
        group = click.Group()
        notify_one(hook, implementation, say, group=group)
        for name, command in group.commands.items():
            offered.setdefault(name, {})[implementation.plugin_name] = command
    return {
        name if len(offers) == 1 and name not in COMMANDS else f"{plugin}:{name}": command
        for name, offers in offered.items()
        for plugin, command in offers.items()
    }


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cnnreg")
def cli() -> None:
    """Image classifiers: list them, train them fast, export them proven equal, time them.

    Any command takes --debug, which shows the traceback of an error.
    """


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


def run(arguments: list[str]) -> None:
    """One command line, its errors left to the caller."""
    with cli.make_context("cnnreg", list(arguments), color=_color()) as context:
        cli.invoke(context)


def _color() -> bool | None:
    """False where none is wanted, which click does not ask; None: as the stream takes it."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if unwanted else None


def _report(error: BaseException, *, as_json: bool) -> int:
    """Say what, where and what to do; returns the exit code."""
    from .common import speaks

    if _reader_has_gone(error):
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
        click.echo(text, err=err, color=_color())
        sys.stdout.flush()  # what was printed before it
    except OSError:
        _discard_output()


def _reader_has_gone(error: BaseException) -> bool:
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
        return MachineError("Out of memory.", hint="Try a smaller --batch-size or --image-size.")
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
