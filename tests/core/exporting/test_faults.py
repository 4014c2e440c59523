"""An export that is killed, stopped or short of disk leaves the old one or the new one, whole.

`benchmarks/export_kills.py` does this in processes, at every system call; here is a slice.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnreg.cli.app import run as command_line  # a kill reaches no boundary of errors
from cnnreg.exporting import publishing, writing
from cnnreg.files import LOCK, folders, sweep_temporaries
from cnnreg.models import exported_model
from helpers import cli, make_run, train

NAME = "onnx-fp32"


@pytest.fixture(scope="module")
def trained(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, run)
    return run.folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A run with an export, and an exporter and a gate that take no time."""

    def write(self, attempt, folder):
        path = folder / "model.onnx"
        path.write_bytes(os.urandom(5000))
        return path

    monkeypatch.setattr(writing.Writer, "_write", write)
    monkeypatch.setattr(writing, "prove", lambda *_, **__: {})
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    assert export(folder)[0] == 0
    return folder


@pytest.fixture
def full_at():
    """A limit on the size of a file: beyond it the system refuses to write."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


def export(run: Path) -> tuple[int, str, str]:
    return cli("export", run, "--onnx")


def content(run: Path) -> bytes:
    """The manifest of the export, all of whose files are as it lists them."""
    exported_model(run / "exports" / NAME)
    return (run / "exports" / NAME / "manifest.json").read_bytes()


def others(run: Path) -> list[str]:
    return [p.name for p in (run / "exports").iterdir() if p.name not in (LOCK, NAME)]


STAGES = {
    "writing": (writing.Writer, "_write"),
    "comparing": (writing, "prove"),
    "listing": (publishing, "write_manifest"),
    "publishing": (publishing, "publish_folder"),
    "exchanging": (folders, "exchange"),
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_old_or_the_new(run, monkeypatch, stage, late, number, code):
    module, name = STAGES[stage]
    function = getattr(module, name)

    def signalled(*arguments, **options):
        if not late:
            signal.raise_signal(number)
        result = function(*arguments, **options)
        signal.raise_signal(number)
        return result

    before = content(run)
    monkeypatch.setattr(module, name, signalled)
    ended, _, err = export(run)
    assert (ended, "Stopped after 0 of 1 files." in err) == (code, True)
    new = late and stage in ("publishing", "exchanging")
    assert (content(run) != before) == new
    assert others(run) == []


class Killed(BaseException):
    pass


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "renamed"])
def test_killed_at_any_change_the_next_export_finds_it_whole(run, monkeypatch, exchanges):
    """At each fsync, rename and exchange in turn; what a kill leaves is left."""
    if not exchanges:
        monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    for number in range(1, 40):
        left, before = number, content(run)

        def dying(function):
            def step(*arguments):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                return function(*arguments)

            return step

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync))
            patch.setattr(Path, "rename", dying(Path.rename))
            patch.setattr(Path, "replace", dying(Path.replace))
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            patch.setattr(folders, "exchange", dying(folders.exchange))
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)
            try:
                command_line(["export", str(run), "--onnx"])
                break
            except Killed:
                pass
        if exchanges:
            content(run)
        sweep_temporaries(run / "exports")
        content(run)
        assert export(run)[0] == 0
        assert content(run) != before
        assert others(run) == []
    assert number > 8


def test_no_disk_left_for_card_or_manifest(run, full_at):
    before = content(run)
    with full_at(1000):
        code, _, err = export(run)
    assert (code, "File too large" in err) == (5, True)
    assert content(run) == before
    assert others(run) == []


@pytest.mark.parametrize("format_name", ["onnx", "openvino"])
def test_no_disk_left_for_the_model_itself(trained, tmp_path, full_at, format_name):
    with full_at(100_000):
        code, _, err = cli("export", trained, f"--{format_name}", "--output", tmp_path)
    assert code == 5, err
    assert "File too large" in err or "could not write its files whole" in err
    assert [path.name for path in tmp_path.iterdir() if path.name != "cnnreg-home"] == [LOCK]
