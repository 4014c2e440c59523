"""What --data means, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cnnreg.data import DataConfig, data_config
from cnnreg.data.config import dataset_of
from cnnreg.errors import DataError, UnknownNameError
from cnnreg.registry import Catalog
from cnnreg.specs import to_data
from stub_data import STUB


def test_a_registered_name_wins_over_a_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    assert data_config("digits", registry, note=notes.append).name == "digits"
    assert notes == []
    (tmp_path / "digits").mkdir()
    assert data_config("digits", registry, note=notes.append).name == "digits"
    assert notes == ["'digits' is the data set; the folder of that name is ./digits"]
    config = data_config("./digits", registry, note=notes.append, image_size=32)
    assert len(notes) == 1
    assert (config.name, config.folder) == ("folder", tmp_path / "digits")
    assert config.image_size == 32


def test_paths_are_stored_absolute(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    config = data_config("mine", registry, downloads=Path("elsewhere"))
    assert config.folder == tmp_path / "mine"
    assert config.downloads == tmp_path / "elsewhere"


def test_no_stored_path_leads_through_the_folder_one_stood_in(registry, tmp_path, monkeypatch):
    for name in ("photos", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    config = data_config("../photos", registry, downloads=Path("../data"))
    assert (config.folder, config.downloads) == (tmp_path / "photos", tmp_path / "data")
    above = data_config("..", registry)
    assert (above.folder, above.label) == (tmp_path, tmp_path.name)


def test_another_plugins_folder_does_not_stop_folders(registry):
    (ours,) = [one for one in registry.datasets.entries if one.spec.name == "folder"]
    theirs = replace(ours, plugin=replace(ours.plugin, name="a", distribution="another"))
    both = replace(registry, datasets=Catalog("data set", [theirs, ours]))
    assert dataset_of(both, "folder") is ours.spec
    alone = replace(registry, datasets=Catalog("data set", [theirs]))
    assert dataset_of(alone, "folder") is theirs.spec


@pytest.mark.parametrize("text", ["no/such", "./no", "~/no-such-folder", "C:\\no"])
def test_a_path_that_is_not_there(registry, text):
    with pytest.raises(DataError, match="no such folder") as caught:
        data_config(text, registry)
    assert "digits" in caught.value.hint


def test_what_reads_folders_is_no_name_of_data(registry):
    with pytest.raises(UnknownNameError) as caught:
        data_config("folders", registry)
    assert "folder" not in caught.value.hint.split()


def test_a_word_that_names_nothing(registry):
    with pytest.raises(UnknownNameError, match="data set or folder 'digit'") as caught:
        data_config("digit", registry)
    assert "digits" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.ZIP", "Unpack it first"),
        ("a.tar.gz", "Unpack it first"),
        ("a.csv", "folder of its class, or write a data set"),
        ("a.jpg", ""),
    ],
)
def test_a_file_is_no_folder_and_may_become_one(registry, tmp_path, name, hint):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="is a file") as caught:
        data_config(str(tmp_path / name), registry)
    assert hint in caught.value.hint and bool(hint) == bool(caught.value.hint)


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(name="mnist"),
        DataConfig(name="folder", folder=Path("/a/b"), image_size=48, resize="crop", split_seed=3),
    ],
)
def test_the_configuration_survives_json(config):
    assert DataConfig.from_data(json.loads(json.dumps(to_data(config)))) == config


@pytest.mark.parametrize(
    "change",
    [
        {"resize": "zoom"},
        {"image_size": 0},
        {"val_fraction": 0.6},
        {"test_fraction": 0},
        {"split_seed": -1},
        {"code": "os.system"},
    ],
)
def test_a_damaged_configuration_is_refused(change):
    with pytest.raises(ValueError, match=r"image size|resize|fraction|seed|unknown data field"):
        DataConfig.from_data(to_data(STUB) | change)


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("my photos", "my_photos"),
        ("...", "folder"),
        ("x" * 99, "x" * 40),
        (f"{'x' * 39}.y", "x" * 39),  # Windows drops a dot at the end
    ],
)
def test_a_folder_of_images_is_called_by_its_name(folder, label):
    assert DataConfig(name="folder", folder=Path("/data") / folder).label == label
    assert DataConfig(name="mnist").label == "mnist"
    assert DataConfig(name="plugin:mnist").label == "plugin.mnist"
