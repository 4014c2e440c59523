"""Where errors end: one line or one document, whatever the streams are, and an exit code."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO

import click
import pytest

from cnnreg.cli import main
from cnnreg.errors import REINSTALL
from cnnreg.termination import Terminated
from helpers import cli, refused


@pytest.mark.parametrize(("name", "asked"), [("list", "get_registry"), ("doctor", "environment")])
def test_what_is_printed_meanwhile_is_no_result(monkeypatch, name, asked):
    """By a network's forward pass, say, or a library that it uses."""
    module = import_module(f"cnnreg.cli.{name}")
    told = getattr(module, asked)

    def chatty(*arguments):
        print("by the way")
        return told(*arguments)

    monkeypatch.setattr(module, asked, chatty)
    code, out, err = cli(name, "--json")
    assert (code, "by the way" in err) == (0, True)
    assert json.loads(out)
    code, out, err = cli(name)
    assert (code, "by the way" in out, "by the way" in err) == (0, False, True)
    assert out


def test_an_internal_error_of_any_class_is_one_line(monkeypatch):
    from cnnreg.cli import list as module

    def panic(*arguments):
        raise GeneratorExit("surprise")

    monkeypatch.setattr(module, "get_registry", panic)
    code, _, err = cli("list")
    assert (code, "Internal error: GeneratorExit: surprise" in err) == (1, True)


def test_an_internal_error_is_one_line_unless_debugging(monkeypatch, capsys):
    from cnnreg.cli import list as module

    def broken(*arguments):
        raise RuntimeError("surprise\nin two lines")

    monkeypatch.setattr(module, "get_registry", broken)
    code, _, err = cli("list")
    assert code == 1
    assert "Internal error: RuntimeError: surprise in two lines" in err
    assert "Traceback" not in err
    code, _, err = cli("list", "--debug")
    assert "Traceback" in err


@pytest.mark.parametrize(
    "error",
    [
        ImportError("DLL load failed while importing _C: a module was not found"),
        OSError("libgomp.so.1: cannot open shared object file"),
    ],
)
def test_a_library_that_does_not_load_is_no_fault_of_cnnreg(monkeypatch, error):
    from cnnreg.cli import list as module

    def broken(*arguments):
        raise error

    monkeypatch.setattr(module, "get_registry", broken)
    code, _, err = cli("list")
    assert code == 5
    assert f"A library does not load: {error}" in err
    assert REINSTALL in err


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt, 130), (click.Abort, 130), (Terminated, 143)]
)
def test_a_stop_is_told_as_an_error_is(stop, code, monkeypatch):
    from cnnreg.cli import list as module

    def stopped(*arguments):
        raise stop

    monkeypatch.setattr(module, "get_registry", stopped)
    refused(code, "Stopped at once", "list")
    assert json.loads(cli("list", "--json")[1])["error"]["code"] == "stopped"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert cli("list", "--json") == (code, "", "")


@pytest.mark.parametrize("raised", [True, False], ids=["an error", "nothing"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_a_library_makes_something_else_of_is_a_stop_all_the_same(
    number, code, raised, monkeypatch
):
    from cnnreg.cli import list as module

    registry_of = module.get_registry

    def careless(*arguments):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        if raised:
            raise AttributeError("half of a module is missing")
        return registry_of(*arguments)

    monkeypatch.setattr(module, "get_registry", careless)
    got, out, _ = cli("list", "--json")
    assert (got, json.loads(out)["error"]["exit"]) == (code, code)


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [
        ("TERM", "xterm", True),
        ("TERM", "dumb", False),
        ("NO_COLOR", "1", False),
        ("NO_COLOR", "", True),
    ],
)
def test_no_colour_where_none_is_wanted(variable, value, coloured, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    for arguments, stream in (
        (["list", "--kind", "formats"], "stdout"),
        (["eval", "zz"], "stderr"),
    ):
        seen = Terminal()
        monkeypatch.setattr(sys, stream, seen)
        with pytest.raises(SystemExit):
            main(arguments)
        # Windows has it otherwise than in letters.
        assert ("\x1b[" in seen.getvalue()) == (coloured and os.name != "nt")


def test_a_pipe_is_as_wide_as_ever_whatever_a_shell_exports(monkeypatch):
    wide = cli("info", "vgg11")
    monkeypatch.setenv("COLUMNS", "30")
    assert cli("info", "vgg11") == wide


class Gone(StringIO):
    """What nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("flag", ["--json", "--debug", "--device=CPU"])
def test_an_error_keeps_its_code_although_nobody_hears_of_it(flag, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, Gone())
    with pytest.raises(SystemExit) as caught:
        main(["eval", "nosuch", flag])
    assert caught.value.code == 2


def test_where_there_are_no_streams_a_command_ends_as_usual(monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    for arguments, code in ((["list", "--json"], 0), (["eval", "nosuch"], 2)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == code


def test_a_failed_check_is_one_document(monkeypatch):
    from cnnreg import conformance

    failed = conformance.Outcome(check="parameters", passed=False, reason="one too many")
    monkeypatch.setattr(conformance, "check_architecture", lambda *arguments: [failed])
    code, out, err = cli("plugins", "check", "mlp", "--json")
    assert code == 6
    assert err == "note: 1 conformance checks of 'mlp' failed.\n"
    assert json.loads(out)["mlp"][0]["reason"] == "one too many"


@pytest.mark.skipif(os.name == "nt", reason="is Windows")
def test_on_windows_a_name_that_no_file_can_have_is_no_closed_pipe(monkeypatch):
    from cnnreg.cli import boundary

    with monkeypatch.context() as patch:  # short: pytest's own paths would be those of Windows
        patch.setattr(boundary.os, "name", "nt")
        gone = boundary.reader_has_gone(OSError(errno.EINVAL, "Invalid argument"))
        named = boundary.reader_has_gone(OSError(errno.EINVAL, "Invalid argument", "a?b"))
    assert (gone, named) == (True, False)


def test_main_ends_the_process_with_zero_on_success():
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
