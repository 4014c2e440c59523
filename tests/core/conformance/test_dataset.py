"""The kit passes a sound data set and names what is wrong with each unsound one."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from cnnreg.conformance import check_dataset, dataset, dataset_checks
from cnnreg.registry import Catalog, Entry
from cnnreg.specs import DatasetSpec, Samples, SourceData
from helpers import cli, install_plugin, photos
from stub_data import files, samples

TRAIN, TEST = samples(seed=1), samples(seed=2)  # three classes of ten, 6x6 in colour
DECLARED = {"num_classes": 3, "image_shape": (3, 6, 6), "mean": (0.5,) * 3, "std": (0.29,) * 3}
MEASURED = {"mean": None, "std": None}


@pytest.fixture
def failures(registry, monkeypatch):
    """Of a data set that is declared so and hands these over; this process is the only one."""
    monkeypatch.setattr(dataset, "fingerprint_elsewhere", lambda config: again[0])
    again = []

    def found(train=TRAIN, test=TEST, *, classes=("a", "b", "c"), **declared) -> dict[str, str]:
        source = SourceData(classes=classes, train=train, test=test)
        spec = DatasetSpec(
            **{"name": "stub", "summary": "a test", "licence": "none", **DECLARED, **declared},
            open=lambda request: source,
        )
        own = replace(registry, datasets=Catalog("data set", [Entry(spec, registry.plugins[0])]))
        again[:] = [dataset.open_dataset(own, dataset.DataConfig(name="stub")).fingerprint]
        outcomes = list(check_dataset(spec, dataset_checks(own)))
        return {outcome.check: outcome.reason for outcome in outcomes if not outcome.passed}

    return found


def test_a_sound_data_set_passes(failures):
    assert not failures()
    assert not failures(test=None)  # held out of the training images then
    assert not failures(image_shape=(3, 28, 28), **MEASURED)  # shown larger
    assert not failures(image_shape=None, num_classes=None, **MEASURED)


@pytest.mark.parametrize(
    ("declared", "check", "reason"),
    [
        ({"num_classes": 4}, "classes", "declares 4 classes, has 3"),
        ({"image_shape": (3, 6, 9), **MEASURED}, "shape", "declares 3x6x9, the train images are "),
        ({"image_shape": (1, 6, 6), **MEASURED}, "shape", "declares 1x6x6, the train images are "),
        ({"mean": (0.5, 0.5, 0.4)}, "images", "declares a mean of 0.5000, 0.5000, 0.4000, it is"),
        ({"std": (0.2,) * 3}, "images", "declares a std of 0.2000"),
    ],
)
def test_a_false_declaration_is_named_beside_the_truth(failures, declared, check, reason):
    found = failures(**declared)
    assert list(found) == [check]
    assert found[check].startswith(reason)


def test_a_split_without_a_class_is_found(failures):
    two = TEST.labels < 2
    test = Samples(labels=TEST.labels[two], pixels=TEST.pixels[two])
    assert failures(test=test) == {"classes": "no test image shows 'c'"}


def test_test_images_to_train_on_are_found(failures):
    pixels = TEST.pixels.copy()
    pixels[:10] = TRAIN.pixels[20:]  # one of which is held out to validate
    found = failures(test=replace(TEST, pixels=pixels))
    assert found == {"held out": "9 of 30 test images are among the training images"}


def test_files_are_read_and_compared_by_what_they_hold(failures, tmp_path):
    train = files(tmp_path / "train", size=(20, 20))
    test = files(tmp_path / "test", size=(21, 21), per_class=50)
    plain = {"classes": ("a", "b"), "num_classes": 2, **MEASURED}
    assert not failures(train, test, **plain)
    test.files[7].write_text("no picture")  # which a training would put up with
    found = failures(train, test, **plain)
    assert list(found) == ["images"]
    assert found["images"].startswith("1 of 100 test images cannot be read: Not an image")
    for copy, image in zip(test.files[7:9], train.files[5:7], strict=True):
        copy.write_bytes(image.read_bytes())
    found = failures(train, test, **plain)
    assert found == {"held out": "2 of 100 test images are among the training images"}


PLUGIN = """
import numpy as np
from cnnreg import DatasetSpec, Samples, SourceData, UsageError, hookimpl

NAMES = [f"class {number}" for number in range(12)]

def steady(request):
    return handed_over(NAMES)

def by_chance(request):  # a set of texts has another order in each process
    return handed_over(list(set(NAMES)))

def lies_there(request):
    if not (request.downloads / "leaves").exists():
        raise UsageError("There are no leaves.", hint="Say --data-dir PATH.")
    return handed_over(NAMES)

def of_a_folder(request):
    if request.folder is None:
        raise UsageError("The leaves need a folder.", hint="Say --data PATH.")
    return handed_over(NAMES)

def handed_over(names):
    random = np.random.default_rng(0)
    labels = np.arange(60) % 12
    pixels = random.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    return SourceData(classes=tuple(names), train=Samples(labels=labels, pixels=pixels))

@hookimpl
def cnnreg_datasets():
    return [
        DatasetSpec(name=opened.__name__, summary="a test", licence="none", open=opened)
        for opened in (steady, by_chance, lies_there, of_a_folder)
    ]
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """In other processes too."""
    install_plugin(tmp_path, "leaves", leaves_plugin=PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_another_process_must_find_the_same_images(installed):
    assert cli("plugins", "check", "steady")[0] == 0
    code, out, err = cli("plugins", "check", "by_chance")
    assert (code, "1 conformance checks of 'by_chance' failed" in err) == (6, True)
    assert "✗ repeatable: opened in another process, its classes, images or labels are o" in out


def test_what_a_plugin_offers_is_checked_where_its_files_lie(installed):
    code, out, _ = cli("plugins", "check", "leaves")
    assert code == 6
    assert "✗ opens: There are no leaves. Say --data-dir PATH." in out
    (installed / "a" / "leaves").mkdir(parents=True)
    code, out, err = cli("plugins", "check", "lies_there", "--data-dir", installed / "a")
    assert (code, "✗" in out) == (0, False), out + err


def test_a_folder_is_given_to_no_set_that_gets_none_in_a_training(installed):
    code, out, _ = cli("plugins", "check", "of_a_folder", "--data", installed)
    assert (code, "✗ opens: The leaves need a folder." in out) == (6, True)
    photos(installed / "photos", 10)
    code, out, err = cli("plugins", "check", "folder", "--data", installed / "photos")
    assert (code, "✗" in out) == (0, False), out + err
