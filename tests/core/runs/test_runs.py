"""Runs: folders one can read, and read back only if whole."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image

from cnnreg.data import DataConfig
from cnnreg.data.config import SPLIT
from cnnreg.errors import DataError, MachineError, ModelFileError, UsageError
from cnnreg.manifest import Manifest, write_manifest
from cnnreg.models import find_model
from cnnreg.planning import data_for_model, plan
from cnnreg.recipe import Recipe, recipe_from_data
from cnnreg.runs import OF_THE_END, create_run, find_run, list_runs, open_run
from cnnreg.specs import ModelFile, to_data
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
    changed.begin(run.open_data(registry))
    assert open_run(run.folder).config == changed.config
    assert {path.name for path in run.folder.iterdir()} == {"run.json"}


def test_a_scanner_that_looks_at_what_told_of_an_end_is_waited_for(registry, tmp_path, monkeypatch):
    run = make_run(registry, tmp_path / "run")
    for path in (run.images, run.folder / "result.json"):
        path.touch()
    other = run.changed(data_fingerprint="other images, which have no names")
    refuse_once(monkeypatch, "unlink")
    other.begin(run.open_data(registry))
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


def photos(folder, count):
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = Image.new("RGB", (32, 32), (number, 0 if label == "cat" else 255, 0))
            image.save(folder / label / f"{number:03}.png")


def test_data_that_changed_are_refused_and_data_that_moved_are_found(registry, tmp_path):
    """Else what was measured would not be what was trained."""
    photos(tmp_path / "photos", 30)
    data = DataConfig(name="folder", folder=tmp_path / "photos")
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    measured_on = dataset.test.pixels
    (tmp_path / "photos").rename(tmp_path / "moved")
    moved = run.open_data(registry, folder=tmp_path / "moved")
    assert (moved.test.pixels == measured_on).all()
    Image.new("RGB", (32, 32)).save(tmp_path / "moved" / "cat" / "new.png")
    with pytest.raises(DataError, match="has changed"):
        run.open_data(registry, folder=tmp_path / "moved")


def test_a_model_is_not_tested_on_what_it_was_trained_on(registry, tmp_path):
    """Its run's own splits hold wherever the images lie now, and when there are more."""
    photos(tmp_path / "photos", 40)
    data = DataConfig(name="folder", folder=tmp_path / "photos", test_fraction=0.1, split_seed=5)
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    run.write_images(dataset)
    tested = dataset.test.pixels
    trained_on = {image.tobytes() for image in dataset.train.pixels}
    (tmp_path / "photos").rename(tmp_path / "moved")
    model = ModelFile(path=run.best, format="", precision="fp32", contract=config.contract)
    moved = data_for_model(registry, model, run.best, str(tmp_path / "moved"), None)
    assert (moved.test.pixels == tested).all()
    photos(tmp_path / "moved", 90)
    grown = data_for_model(registry, model, run.best, str(tmp_path / "moved"), None)
    assert len(grown.test) > len(moved.test)
    assert not trained_on & {image.tobytes() for image in grown.test.pixels}


def test_a_copy_that_was_made_smaller_is_not_tested_on_what_was_trained_on(registry, tmp_path):
    """Its files have other sizes; their names tell."""
    photos(tmp_path / "photos", 40)
    data = DataConfig(name="folder", folder=tmp_path / "photos", split_seed=5)
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    run.write_images(dataset)
    for path in (tmp_path / "photos").glob("*/*.png"):
        Image.open(path).resize((16, 16)).save(path)
    (tmp_path / "photos" / "cat" / "a new one.png").write_bytes(path.read_bytes())
    model = ModelFile(path=run.best, format="", precision="fp32", contract=config.contract)
    smaller = data_for_model(registry, model, run.best, str(tmp_path / "photos"), None)
    before = run.places()
    assert all("train" not in before.get(name, ()) for _, name in smaller.test.listing)


@pytest.fixture
def digits(registry, tmp_path):
    """A run on images that come as pixels, of other shares than the usual ones."""
    data = DataConfig(name="digits", val_fraction=0.05, test_fraction=0.3)
    config, dataset = plan(registry, "mlp", data, Recipe())
    return create_run(config, folder=tmp_path / "run"), dataset


def named(registry, run, path, data, model=None):
    bare = ModelFile(path=path, format="", precision="fp32", contract=run.config.contract)
    found = data_for_model(registry, model or bare, path, data, None)
    return len(found.train), len(found.val), len(found.test)


@pytest.mark.parametrize("data", ["digits", "digits:digits", None])
def test_the_runs_shares_hold_however_its_data_are_spelt(registry, digits, data):
    run, dataset = digits
    shares = len(dataset.train), len(dataset.val), len(dataset.test)
    assert named(registry, run, run.best, data) == shares


@pytest.mark.parametrize("said", [None, "elsewhere"])
def test_a_runs_downloads_are_looked_for_where_they_were(registry, tmp_path, monkeypatch, said):
    data = DataConfig(name="digits", downloads=tmp_path / "downloads")
    data.downloads.mkdir()
    config, _ = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    monkeypatch.setattr("cnnreg.planning.open_dataset", lambda _, config, **more: config)
    model = ModelFile(path=run.best, format="", precision="fp32", contract=config.contract)
    data_dir = tmp_path / said if said else None
    opened = data_for_model(registry, model, run.best, "digits", data_dir)
    assert opened.downloads == (data_dir or data.downloads)
    data.downloads.rmdir()  # of another machine, where the run was trained
    opened = data_for_model(registry, model, run.best, "digits", data_dir)
    assert opened.downloads == (data_dir or Path("data").absolute())


def test_an_export_away_from_its_run_still_tells_the_shares(registry, digits, tmp_path):
    run, dataset = digits
    shares = len(dataset.train), len(dataset.val), len(dataset.test)
    export = tmp_path / "export"
    export.mkdir()
    (export / "model").write_bytes(b"x")
    for split, found in (
        ({name: getattr(run.config.data, name) for name in SPLIT}, shares),
        ({"split_seed": "x"}, (1298, 139, 360)),
    ):
        (export / "manifest.json").unlink(missing_ok=True)
        manifest = Manifest(
            format="",
            precision="fp32",
            model="model",
            contract=run.config.contract,
            source={"split": split},
            parity={},
            environment={},
            created="",
        )
        write_manifest(export, manifest)
        assert named(registry, run, export, "digits", find_model(registry, export)) == found


@pytest.mark.parametrize("content", ["{", '{"id": 3}'])
def test_whatever_lies_above_a_model_data_that_are_named_can_be_had(registry, digits, content):
    run, _ = digits
    (run.folder / "run.json").write_text(content)
    assert sum(named(registry, run, run.best, "digits")) == 1797
    with pytest.raises(ModelFileError):
        named(registry, run, run.best, None)


def test_a_damaged_run_does_not_hide_the_others(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(registry, None)
    (tmp_path / "runs" / "zzz").mkdir()
    (tmp_path / "runs" / "zzz" / "run.json").write_text('{"schema": 2}')
    assert find_run().name == run.name
