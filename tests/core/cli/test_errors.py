"""Bad input: one line each, the documented exit code, nothing lost, no traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO

import click
import pytest

from cnnreg.cli import COMMANDS, common, main
from cnnreg.errors import REINSTALL
from cnnreg.termination import Terminated
from helpers import cli, install_plugin, make_run, train


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    made = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, made)
    return made


def refused(code: int, said: str, *arguments):
    """The command must end with `code`, say `said` shortly, and as JSON too."""
    got, out, err = cli(*arguments)
    assert got == code, (got, out, err)
    assert said in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if not line.startswith("note:")]) <= 4
    assert out == ""
    got, out, _ = cli(*arguments, "--json")
    error = json.loads(out)["error"]
    assert (got, error["exit"]) == (code, code)
    assert said in " ".join(str(value) for value in error.values())


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (2, "resnet50", ["train", "resnet5o"]),
        (2, "Did you mean adam", ["train", "mlp", "--optimizer", "adm"]),
        (2, "epochs must be at least 1", ["train", "mlp", "--epochs", "0"]),
        (2, "learning rate must be above 0", ["train", "mlp", "--lr", "-1"]),
        (2, "epochs must be at most", ["train", "mlp", "--epochs", "9" * 400]),
        (2, "nesterov looks ahead", ["train", "mlp", "--optimizer", "nesterov", "--momentum", "0"]),
        (3, "no home folder", ["train", "mlp", "--data", "~nobody-of-that-name/photos"]),
        (2, "'wavy' is not one of", ["train", "mlp", "--schedule", "wavy"]),
        (2, "'spin' is not one of", ["train", "mlp", "--augment", "spin"]),
        (2, "'many' is not a valid integer", ["train", "mlp", "--epochs", "many"]),
        (2, "'--dropout': nan is not a number", ["train", "mlp", "--dropout", "nan"]),
        (2, "'--max-drop': nan is not a number", ["export", "--onnx", "--max-drop", "nan"]),
        (2, "'--seconds': nan is not a number", ["bench", "--seconds", "nan"]),
        (2, "Missing argument", ["train"]),
        (2, "No such option", ["train", "mlp", "--fast"]),
        (2, "No such command 'tarin'. Did you mean train", ["tarin"]),
        (2, "cifar10", ["train", "mlp", "--data", "cifar1O"]),
        (3, "no such folder", ["train", "mlp", "--data", "./nowhere"]),
        (2, "too small for this network", ["train", "vgg11", "--image-size", "8"]),
        (2, "There is no such model", ["predict", "nothing", "x.png"]),
        (2, "Say which format", ["export"]),
        (2, "no run yet", ["export", "--onnx"]),
        (2, "'int4' is not one of", ["export", "--onnx", "--precision", "fp32,int4"]),
        (2, "no run yet", ["bench"]),
        (2, "Unknown plugin", ["plugins", "disable", "nope"]),
    ],
)  # fmt: skip
def test_refused(code, said, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[:2] == ["plugins", "disable"]:
        got, _, err = cli(*arguments)
        assert (got, said in err) == (code, True)
    else:
        refused(code, said, *arguments)
    assert not (tmp_path / "runs").exists()


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


@pytest.mark.parametrize(("name", "asked"), [("list", "_catalog"), ("doctor", "environment")])
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


def test_an_internal_error_of_any_class_is_one_line(monkeypatch):
    from cnnreg.cli import list as module

    def panic(*arguments):
        raise GeneratorExit("surprise")

    monkeypatch.setattr(module, "_catalog", panic)
    code, _, err = cli("list")
    assert (code, "Internal error: GeneratorExit: surprise" in err) == (1, True)


def test_missing_data_offline_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    code, _, err = cli("train", "mlp", "--data", "mnist")
    assert code == 5
    assert "train-images-idx3-ubyte" in err
    assert list(tmp_path.rglob("*ubyte*")) == []


def test_a_corrupt_checkpoint_is_refused_and_left_alone(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    damaged = bytearray(run.best.read_bytes())
    damaged[-20] ^= 1
    run.best.write_bytes(damaged)
    refused(4, "sha256 differs", "eval", run.folder)
    assert run.best.read_bytes() == damaged


def test_a_checkpoint_of_another_class_count_is_refused(registry, run, tmp_path):
    other = make_run(registry, tmp_path / "other", epochs=1)
    data = json.loads((other.folder / "run.json").read_text())
    data["contract"]["num_classes"] = 7
    data["contract"]["classes"] = list("abcdefg")
    (other.folder / "run.json").write_text(json.dumps(data))
    other.best.write_bytes(run.best.read_bytes())
    refused(3, "other classes", "eval", other.folder)


def test_a_checkpoint_of_another_network_is_refused(registry, run, tmp_path):
    other = make_run(registry, tmp_path / "other", "simple_cnn", epochs=1)
    other.best.write_bytes(run.best.read_bytes())
    refused(4, "made for 'mlp', not 'simple_cnn'", "eval", other.folder)


def test_a_model_whose_plugin_is_gone_names_the_plugin(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNREG_PLUGINS", "digits,pytorch-runtime")
    refused(6, "'mlp' is not installed", "eval", run.folder)


def test_an_output_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused(5, "Cannot write", "train", "mlp", "--epochs", "1", "--output", tmp_path / "file/run")
    refused(5, "Cannot write", "export", run.folder, "--onnx", "--output", tmp_path / "file/out")
    refused(2, "not empty", "train", "mlp", "--output", tmp_path / "file")


@pytest.mark.parametrize("named", ["https://example.com/cat.jpg", "-"])
def test_a_picture_that_is_no_file_is_refused_as_it_was_typed(run, named):
    refused(2, named, "predict", run.folder, named)


def test_an_absent_device_names_those_there_are(run):
    refused(5, "CPU", "bench", run.folder, "--device", "NPU")
    refused(5, "--device cpu", "train", "mlp", "--device", "cuda:9", "--output", run.folder / "no")


def test_a_damaged_export_is_refused_before_a_runtime_sees_it(registry, run):
    code, _, err = cli("export", run.folder, "--onnx")
    assert code == 0, err
    model = run.exports / "onnx-fp32/model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    refused(4, "Incomplete", "predict", run.exports / "onnx-fp32", "x.png")


def test_a_missing_extra_says_the_line_that_mends_it(monkeypatch, run):
    from cnnreg import models

    monkeypatch.setattr(models, "missing", lambda modules: "nncf" if "nncf" in modules else None)
    refused(5, 'pip install "cnn-registry[train]"', "export", run.folder, "--openvino")


def test_an_internal_error_is_one_line_unless_debugging(monkeypatch, capsys):
    from cnnreg.cli import list as module

    def broken(*arguments):
        raise RuntimeError("surprise\nin two lines")

    monkeypatch.setattr(module, "_catalog", broken)
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

    monkeypatch.setattr(module, "_catalog", broken)
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

    monkeypatch.setattr(module, "_catalog", stopped)
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

    catalog = module._catalog

    def careless(*arguments):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        if raised:
            raise AttributeError("half of a module is missing")
        return catalog(*arguments)

    monkeypatch.setattr(module, "_catalog", careless)
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


@pytest.mark.parametrize("topic", [[], ["train"], ["plugins", "new"]], ids=str)
def test_help_is_a_command_too(topic):
    assert cli("help", *topic) == cli(*topic, "--help")


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
    code, out, _ = cli("plugins", "check", "mlp", "--json")
    assert code == 6
    assert json.loads(out)["mlp"][0]["reason"] == "one too many"


def test_json_is_ascii_for_any_pipe(run, tmp_path):
    named = shutil.copytree(run.folder, tmp_path / "кошка")
    code, out, _ = cli("runs", "show", named, "--json")
    assert code == 0
    assert out.isascii()
    assert "кошка" in str(json.loads(out))


@pytest.mark.skipif(os.name == "nt", reason="is Windows")
def test_on_windows_a_name_that_no_file_can_have_is_no_closed_pipe(monkeypatch):
    from cnnreg.cli import app

    monkeypatch.setattr(app.os, "name", "nt")
    gone = app._reader_has_gone(OSError(errno.EINVAL, "Invalid argument"))
    named = app._reader_has_gone(OSError(errno.EINVAL, "Invalid argument", "a?b"))
    monkeypatch.undo()
    assert (gone, named) == (True, False)


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


def test_main_ends_the_process_with_zero_on_success():
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0


def test_patterns_are_files_where_the_shell_leaves_them_as_they_are(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.jpg", "[1].jpg", "c.png"):
        (tmp_path / name).touch()

    def spread(*names):
        found = common.spread(None, None, tuple(tmp_path / name for name in names))
        return [path.name for path in found]

    assert spread("*.jpg") == ["*.jpg"]
    monkeypatch.setattr(common, "WINDOWS", True)
    assert spread("c.png", "*.jpg") == ["c.png", "[1].jpg", "a.jpg", "b.jpg"]
    assert spread("[1].jpg", "*.gif") == ["[1].jpg", "*.gif"]
    assert spread("[a].jpg", "[*.jpg") == ["[a].jpg", "[1].jpg"]


def test_help_comes_whatever_is_broken(home_with):
    home_with("disabled-plugins.json", "{")
    code, out, err = cli("--help")
    assert (code, "Commands:" in out) == (0, True)
    assert "list of disabled plugins" in err
    assert cli("list")[0] == 5


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_disabled_and_nothing_can_be():
    code, out, err = cli("--help")
    assert (code, "Commands:" in out, err) == (0, True, "")
    assert cli("list")[0] == 0
    code, _, err = cli("plugins", "disable", "digits")
    assert (code, "CNNREG_HOME" in err) == (5, True)


@pytest.fixture
def home_with(tmp_path, monkeypatch):
    def write(name, text):
        monkeypatch.setenv("CNNREG_HOME", str(tmp_path))
        (tmp_path / name).write_text(text)
        common.get_registry.cache_clear()

    yield write
    common.get_registry.cache_clear()
