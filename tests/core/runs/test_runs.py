"""Runs: folders one can read, and read back only if whole."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import datetime

import pytest

from cnnreg.errors import MachineError, ModelFileError, UsageError
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.run_data import data_of_run
from cnnreg.runs import OF_THE_END, find_run, list_runs, open_run
from cnnreg.specs import to_data
from helpers import contract, make_run, refuse_once


def test_a_run_reads_back_as_it_was_made(registry, tmp_path):
    run = make_run(registry, tmp_path / "my run ü", optimizer="momentum")
    assert open_run(run.folder).config == run.config


def test_what_changes_is_written_when_it_begins(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    changed = run.changed(recipe=replace(run.config.recipe, epochs=9))
    assert open_run(run.folder).config == run.config
    for name in OF_THE_END:
        (run.folder / name).touch()
    changed.begin(data_of_run(registry, run))
    assert open_run(run.folder).config == changed.config
    assert {path.name for path in run.folder.iterdir()} == {"run.json"}


def test_a_scanner_that_looks_at_what_told_of_an_end_is_waited_for(registry, tmp_path, monkeypatch):
    run = make_run(registry, tmp_path / "run")
    for path in (run.images, run.folder / "result.json"):
        path.touch()
    other = run.changed(data_fingerprint="other images, which have no names")
    refuse_once(monkeypatch, "unlink")
    other.begin(data_of_run(registry, run))
    assert {path.name for path in run.folder.iterdir()} == {"run.json"}


def test_the_newest_run_is_the_default(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no run yet"):
        find_run()
    made = [make_run(registry, None) for _ in range(3)]
    assert len({run.name for run in made}) == 3
    assert find_run().name == made[-1].name
    assert [run.name for run in list_runs()] == [run.name for run in made]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_a_disk_that_is_not_there_is_no_endless_search(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(tmp_path / "unmounted" / "runs")
    with pytest.raises(MachineError):
        make_run(registry, None)


def test_a_folder_in_use_is_not_overwritten(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(UsageError, match="not empty"):
        make_run(registry, run.folder)


def test_a_name_that_no_disk_takes_is_refused_before_anything_is_made(registry, tmp_path):
    with pytest.raises(UsageError, match="too long"):
        make_run(registry, tmp_path / ("x" * 300))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", None),
        ("contract", {"architecture": "__import__('os')"}),
        ("recipe", {"epochs": "many"}),
        ("recipe", {"surprise": 1}),
        ("data", {}),
        ("created", None),
        ("created", "2026-01-01T10:00:00"),
        ("created", "0001-01-01T00:00:00+14:00"),
        ("contract", {**to_data(contract()), "num_classes": float("inf")}),
    ],
)
def test_a_damaged_run_is_refused(registry, tmp_path, field, value):
    run = make_run(registry, tmp_path / "run")
    path = run.folder / "run.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    if value is None:
        del data[field]
    else:
        data[field] = value
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ModelFileError, match="Damaged run"):
        open_run(run.folder)


def test_a_date_that_windows_has_no_clock_for_is_damage(registry, tmp_path, monkeypatch):
    run = make_run(registry, tmp_path / "run")

    class Unknown(datetime):
        def astimezone(self, tz=None):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("cnnreg.runs.config.datetime", Unknown)
    with pytest.raises(ModelFileError, match="Damaged run"):
        open_run(run.folder)


def test_recipes_round_trip():
    recipe = Recipe(epochs=3, schedule="cosine", weight_decay=1e-4)
    assert recipe_from_data(json.loads(json.dumps(to_data(recipe)))) == recipe


def test_a_damaged_run_does_not_hide_the_others(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(registry, None)
    (tmp_path / "runs" / "zzz").mkdir()
    (tmp_path / "runs" / "zzz" / "run.json").write_text('{"schema": 2}')
    assert find_run().name == run.name
