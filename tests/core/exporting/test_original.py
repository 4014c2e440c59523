from __future__ import annotations

import numpy as np
import pytest

from cnnreg.data import Split
from cnnreg.errors import PluginError
from cnnreg.exporting import original as module
from cnnreg.exporting.original import load_original
from cnnreg.run_data import data_of_run


def test_the_images_are_those_of_the_validation_and_training_splits(registry, original):
    data = data_of_run(registry, original.run)
    val = {image.tobytes() for image in data.val.pixels}
    training = {image.tobytes() for image in data.train.pixels}
    judged, more = np.split(original.images, [len(original.labels)])
    assert {image.tobytes() for image in judged} == val
    assert {image.tobytes() for image in more} <= training
    labels = {
        i.tobytes(): label for i, label in zip(data.train.pixels, data.train.labels, strict=True)
    }
    assert [labels[image.tobytes()] for image in more] == original.others.tolist()
    assert len(original.images) == 256
    assert {image.tobytes() for image in original.calibration} <= training
    assert len(original.calibration) == 300
    calibrated = {image.tobytes() for image in original.calibration}
    assert not calibrated & {image.tobytes() for image in more}


def test_more_images_are_those_of_the_validation_split(registry, original, monkeypatch):
    assert original.with_more_images is original  # all are in it
    monkeypatch.setattr(module, "VERIFICATION_IMAGES", 20)
    monkeypatch.setattr(module, "LEAST_IMAGES", 20)
    few = load_original(registry, original.run, original.dataset)
    more = few.with_more_images
    assert (len(few.labels), len(more.labels)) == (20, len(original.labels))
    assert len(few.others) == 0
    assert more is few.with_more_images
    judged = {image.tobytes() for image in original.images[: len(original.labels)]}
    assert {image.tobytes() for image in more.images} == judged
    np.testing.assert_allclose(
        np.sort(more.logits, axis=None),
        np.sort(original.logits[: len(original.labels)], axis=None),
        atol=1e-4,
    )


def test_what_is_known_of_the_validation_images_is_told(registry, original, monkeypatch):
    monkeypatch.setattr(Split, "remarks", lambda split: ["one is damaged"])
    told = []
    load_original(registry, original.run, original.dataset, note=told.append)
    assert told == ["one is damaged"]


def test_a_network_that_fails_on_them_is_blamed(registry, original, monkeypatch):
    def failing(network, images, contract):
        raise RuntimeError("view size is not compatible")

    name = original.model.contract.architecture
    monkeypatch.setattr("cnnreg.networks.inference.logits_of_model", failing)
    with pytest.raises(PluginError, match=f"'{name}' on images failed: RuntimeError: view size"):
        load_original(registry, original.run, original.dataset)
