"""A run is found by its path or its name; what is none says where one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnreg.errors import UsageError
from cnnreg.files import typed
from cnnreg.runs import find_run, open_run, placed
from helpers import make_run


@pytest.fixture
def run(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(registry, Path("runs", "first"))


def test_a_run_goes_by_its_name(run, tmp_path):
    assert find_run(Path("first")).folder == Path("runs", "first")
    assert placed(tmp_path / "first") == tmp_path / "first"  # a path that is not there
    assert placed(Path("second")) == Path("second")


def test_a_path_that_is_there_comes_before_a_name(run):
    Path("first").mkdir()
    assert placed(Path("first")) == Path("first")


@pytest.mark.parametrize("inside", ["last.safetensors", "exports/onnx-fp32", "exports/nothing"])
def test_within_a_run_that_run_is_named(run, tmp_path, inside):
    (run.folder / "exports" / "onnx-fp32").mkdir(parents=True)
    run.last.touch()
    with pytest.raises(UsageError) as caught:
        open_run(run.folder / inside)
    assert caught.value.hint == f"Name the run: {typed(tmp_path / run.folder)}"


def test_what_is_not_there_is_told_from_what_is_no_run(run, tmp_path):
    (tmp_path / "photos").mkdir()
    for name, said in (("photos", "Not a run: it holds no run.json."), ("x", "There is no such")):
        with pytest.raises(UsageError, match=said) as caught:
            find_run(Path(name))
        assert caught.value.hint == "`cnnreg runs` lists them."


def test_a_wrong_working_folder_is_told_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no run yet") as caught:
        find_run()
    assert caught.value.where == str(tmp_path / "runs")
    assert "Go to the folder you trained in" in caught.value.hint


def test_a_run_that_one_is_in_has_its_name(run, monkeypatch):
    monkeypatch.chdir(run.folder)
    assert find_run(Path()).name == "first"
    (Path() / "exports").mkdir()
    monkeypatch.chdir("exports")
    assert find_run(Path("..")).name == "first"
