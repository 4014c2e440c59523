"""The command line: one file a command, loaded when it is called."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from cnnreg import __version__
from cnnreg.errors import CnnregError

from .windows import takes_escapes

# Each command's line of help stands here, so that `--help` imports none of them.
COMMANDS = {
    "list": "Show networks, data sets, recipes, optimizers, formats and runtimes.",
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
                formatter.write_dl([(name, _short_help(own)) for name, own in added.items()])


def _short_help(command: click.Command) -> str:
    with suppress(Exception):  # of a plugin's own class
        return command.get_short_help_str()
    return ""


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


def run(arguments: list[str]) -> None:
    """One command line, its errors left to the caller."""
    with cli.make_context("cnnreg", list(arguments), color=color()) as context:
        cli.invoke(context)


def color() -> bool | None:
    """False where none is wanted or taken, which click does not ask; None: as the stream is."""
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if unwanted or not takes_escapes() else None
