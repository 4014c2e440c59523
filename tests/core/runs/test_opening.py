"""A run is found by its path or its name; what is none says where one is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnnreg.errors import ModelFileError, UsageError
from cnnreg.files import typed
from cnnreg.runs import find_run, open_run, placed
from helpers import cli, make_run


@pytest.fixture
def run(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make_run(registry, Path("runs", "first"))


def test_a_run_goes_by_its_name(run, tmp_path):
    assert find_run(Path("first")).folder == Path("runs", "first")
    assert placed(tmp_path / "first") == tmp_path / "first"  # a path that is not there
    assert placed(Path("second")) == Path("second")


@pytest.mark.parametrize("file", ["run.json", "manifest.json", None])
def test_a_model_that_is_there_comes_before_a_name(run, file):
    if file:
        Path("first").mkdir()
    Path("first", file or "").write_text("{")
    assert placed(Path("first")) == Path("first")


def test_a_folder_that_is_no_model_hides_no_run(run):
    Path("first").mkdir()
    assert find_run(Path("first")).folder == run.folder
    assert placed(Path("..")) == Path("..")


def test_the_newest_run_is_one_whose_figures_are_damaged_too(run, registry):
    newest = make_run(registry, Path("runs", "second"))
    (newest.folder / "metrics.jsonl").write_text("{")
    assert find_run().folder == newest.folder
    code, out, _ = cli("runs", "show", "--json")
    found = json.loads(out)
    assert (code, found["name"], found["state"]) == (0, "second", "damaged")


def test_another_root_has_names_of_its_own(run, registry, tmp_path):
    other = make_run(registry, tmp_path / "other" / "first")
    root = tmp_path / "other"
    assert find_run(Path("first"), root).folder == find_run(None, root).folder == other.folder


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


def test_a_damaged_run_is_not_told_of_as_none(run):
    (run.folder / "run.json").write_text("{")
    with pytest.raises(ModelFileError, match="Not valid JSON") as caught:
        find_run()
    assert "run.json" in str(caught.value.where)


def test_a_run_that_one_is_in_has_its_name(run, monkeypatch):
    monkeypatch.chdir(run.folder)
    assert find_run(Path()).name == "first"
    (Path() / "exports").mkdir()
    monkeypatch.chdir("exports")
    assert find_run(Path("..")).name == "first"
