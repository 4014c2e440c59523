"""The group of commands: its help, and the commands of plugins."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnnreg.cli import COMMANDS, common
from helpers import cli, install_plugin, refused

COMMAND = """
import click
from cnnreg import hookimpl

@click.command()
@click.option("--sound", is_flag=True)
@click.option("--json", "as_json", is_flag=True)
def odd(sound, as_json):
    if not sound:
        raise ZeroDivisionError("by nought")
    click.echo("done")

@hookimpl
def cnnreg_commands(group):
    group.add_command(odd)
"""


def test_a_command_of_a_plugin_is_blamed_for_its_errors(tmp_path, monkeypatch):
    install_plugin(tmp_path, "odd-command", odd_command=COMMAND)
    monkeypatch.syspath_prepend(tmp_path)
    refused(6, "Command 'odd' of a plugin failed: ZeroDivisionError: by nought", "odd")
    refused(2, "No such option", "odd", "--even")
    assert cli("odd", "--sound")[:2] == (0, "done\n")


def test_a_command_of_two_plugins_answers_to_neither_alone(tmp_path, monkeypatch):
    install_plugin(tmp_path, "a", plugin_a=COMMAND)
    install_plugin(tmp_path, "b", plugin_b=COMMAND.replace("done", "really").replace("odd", "list"))
    install_plugin(tmp_path, "c", plugin_c=COMMAND.replace("done", "so"))
    monkeypatch.syspath_prepend(tmp_path)
    refused(2, "No such command 'odd'. Did you mean a:odd or c:odd?", "odd")
    assert [cli(name, "--sound")[1] for name in ("a:odd", "c:odd")] == ["done\n", "so\n"]
    assert cli("b:list", "--sound")[1] == "really\n"  # cnnreg has a command of that name
    assert "c:odd" in cli("--help")[1]


SPEECHLESS = """
import click
from cnnreg import hookimpl

class Speechless(click.Command):
    def get_short_help_str(self, limit=45):
        raise ValueError("no help")

@hookimpl
def cnnreg_commands(group):
    group.add_command(Speechless("mute"))
"""


def test_help_comes_whatever_a_plugins_command_does(tmp_path, monkeypatch):
    install_plugin(tmp_path, "mute", mute_command=SPEECHLESS)
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = cli("--help")
    assert (code, "mute" in out) == (0, True)


PANIC = """
class Panic(BaseException):
    pass

raise Panic("in Rust")
"""


def test_a_panic_in_a_command_of_a_plugin_is_its_own(tmp_path, monkeypatch):
    panicking = COMMAND.replace('raise ZeroDivisionError("by nought")', "import panicking")
    install_plugin(tmp_path, "panicking", panicking_command=panicking, panicking=PANIC)
    monkeypatch.syspath_prepend(tmp_path)
    refused(6, "Command 'odd' of a plugin failed: Panic: in Rust", "odd")


@pytest.mark.parametrize("topic", [[], ["train"], ["plugins", "new"]], ids=str)
def test_help_is_a_command_too(topic):
    assert cli("help", *topic) == cli(*topic, "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    code, out, _ = cli(name, "--help")
    assert code == 0
    assert "Usage: cnnreg" in out
    assert "Show this message" in out


def test_without_arguments_the_commands_are_shown():
    done = subprocess.run(
        [sys.executable, "-m", "cnnreg"], capture_output=True, text=True, check=False
    )
    assert "quickstart" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_help_comes_whatever_is_broken(home_with):
    home_with("disabled-plugins.json", "{")
    code, out, err = cli("--help")
    assert (code, "Commands:" in out) == (0, True)
    assert "list of disabled plugins" in err
    assert cli("list")[0] == 5


@pytest.fixture
def home_with(tmp_path, monkeypatch):
    def write(name, text):
        monkeypatch.setenv("CNNREG_HOME", str(tmp_path))
        (tmp_path / name).write_text(text)
        common.get_registry.cache_clear()

    yield write
    common.get_registry.cache_clear()
