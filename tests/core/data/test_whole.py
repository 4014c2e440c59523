"""Labelled images as they lie there."""

from __future__ import annotations

import numpy as np
import pytest

from cnnreg.data.config import data_config
from cnnreg.data.whole import open_whole
from cnnreg.errors import DataError
from helpers import photos
from stub_data import STUB, samples

SHAPE = (3, 6, 6)


def test_labels_are_places_in_the_models_classes(offer):
    registry = offer(samples(per_class=1, classes=2), classes=("c", "a"))
    (only,) = open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b", "c")).values()
    assert only.labels.tolist() == [2, 0]
    with pytest.raises(DataError, match="other classes than the model: c added"):
        open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b"))


def test_of_each_split_as_many_may_be_unreadable_as_in_a_training(registry, tmp_path):
    photos(tmp_path / "train", 200)
    for path in (photos(tmp_path / "test", 5) / "cat").iterdir():
        path.write_bytes(b"")
    config = data_config(str(tmp_path), registry)
    whole = open_whole(registry, config, image_shape=SHAPE, classes=("cat", "dog"))
    with pytest.raises(DataError, match="5 of 10"):
        _ = whole["test"].labels


def test_nothing_is_cut_off_and_splits_stay_what_they_are(offer):
    registry = offer(samples(classes=3), test=samples(classes=3, seed=1))
    whole = open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b", "c"))
    assert {name: len(split) for name, split in whole.items()} == {"train": 30, "test": 30}
    assert (np.asarray(whole["test"].pixels) == samples(seed=1).pixels).all()
