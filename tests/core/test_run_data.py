"""Which images a run or a model is measured on, wherever they lie by then."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest
from PIL import Image

from cnnreg.data import DataConfig, open_dataset
from cnnreg.data.config import SPLIT
from cnnreg.errors import DataError, ModelFileError, UnknownNameError, UsageError
from cnnreg.manifest import Manifest, write_manifest
from cnnreg.models import find_model
from cnnreg.planning import plan
from cnnreg.recipe import Recipe
from cnnreg.run_data import NAME_SOME, data_for_model, data_of_run
from cnnreg.runs import create_run
from cnnreg.specs import ModelFile
from helpers import contract, photos


def test_data_that_changed_are_refused_and_data_that_moved_are_found(registry, tmp_path):
    """Else what was measured would not be what was trained."""
    photos(tmp_path / "photos", 30)
    data = DataConfig(name="folder", folder=tmp_path / "photos")
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    measured_on = dataset.test.pixels
    (tmp_path / "photos").rename(tmp_path / "moved")
    moved = data_of_run(registry, run, folder=tmp_path / "moved")
    assert (moved.test.pixels == measured_on).all()
    Image.new("RGB", (32, 32)).save(tmp_path / "moved" / "cat" / "new.png")
    with pytest.raises(DataError, match="has changed"):
        data_of_run(registry, run, folder=tmp_path / "moved")


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


def test_pictures_of_one_name_but_for_how_its_accents_are_stored_are_split_as_they_were(
    registry, tmp_path
):
    """By names alone, what was held out under one would count as trained on."""
    folder = photos(tmp_path / "photos", 40)
    for number, path in enumerate(sorted(folder.glob("*/*.png"))):
        for form in ("NFC", "NFD"):
            shutil.copy(path, path.with_name(normalize(form, f"é{number}.png")))
        path.unlink()
    data = DataConfig(name="folder", folder=folder)
    config, dataset = plan(registry, "mlp", data, Recipe())
    run = create_run(config, folder=tmp_path / "run")
    run.write_images(dataset)
    assert any(len(splits) > 1 for splits in run.places().values())
    assert data_of_run(registry, run).fingerprint == dataset.fingerprint
    model = ModelFile(path=run.best, format="", precision="fp32", contract=config.contract)
    again = data_for_model(registry, model, run.best, str(folder), None)
    assert again.fingerprint == dataset.fingerprint


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
    asked = []

    def recording(registry, config, **more):
        asked.append(config.downloads)
        return open_dataset(registry, config, **more)

    monkeypatch.setattr("cnnreg.run_data.open_dataset", recording)
    model = ModelFile(path=run.best, format="", precision="fp32", contract=config.contract)
    data_dir = tmp_path / said if said else None
    data_for_model(registry, model, run.best, "digits", data_dir)
    assert {*asked} == {data_dir or data.downloads}
    asked.clear()
    data.downloads.rmdir()  # of another machine, where the run was trained
    data_for_model(registry, model, run.best, "digits", data_dir)
    assert {*asked} == {data_dir or Path("data").absolute()}


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


def test_a_run_without_data_takes_what_is_named_if_its_classes_are_the_same(registry, digits):
    run, dataset = digits
    without = run.changed(data=DataConfig(name=""))
    with pytest.raises(UsageError, match="imported without data"):
        data_of_run(registry, without)
    assert data_of_run(registry, without, folder=Path("digits")).classes == dataset.classes
    backwards = replace(run.config.contract, classes=dataset.classes[::-1])
    turned = data_of_run(registry, without.changed(contract=backwards), folder=Path("digits"))
    assert turned.classes == backwards.classes
    assert turned.test.labels.tolist() == [9 - label for label in dataset.test.labels]
    assert (turned.test.pixels == dataset.test.pixels).all()
    other = contract(input_shape=(1, 8, 8))
    with pytest.raises(DataError, match=r"0, 1, .*, 9 added; a, b, c missing"):
        data_of_run(registry, without.changed(contract=other), folder=Path("digits"))


def test_a_models_own_folder_is_asked_for_where_it_is_not_known(registry, digits, tmp_path):
    run, _ = digits
    of_folder = replace(run.config.contract, dataset="pets")
    model = ModelFile(path=tmp_path, format="", precision="fp32", contract=of_folder)
    with pytest.raises(UsageError, match="own images, 'pets', are not known") as failed:
        data_for_model(registry, model, tmp_path, None, None)
    assert (failed.value.where, failed.value.hint) == (str(tmp_path), NAME_SOME)
    with pytest.raises(UnknownNameError, match="data set or folder 'pets'"):
        data_for_model(registry, model, tmp_path, "pets", None)
