"""Labelled images as they lie there."""

from __future__ import annotations

import numpy as np
import pytest

from cnnreg.data.whole import open_whole
from cnnreg.errors import DataError
from stub_data import STUB, samples

SHAPE = (3, 6, 6)


def test_labels_are_places_in_the_models_classes(offer):
    registry = offer(samples(per_class=1, classes=2), classes=("c", "a"))
    (only,) = open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b", "c")).values()
    assert only.labels.tolist() == [2, 0]
    with pytest.raises(DataError, match="other classes than the model: c added"):
        open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b"))


def test_nothing_is_cut_off_and_splits_stay_what_they_are(offer):
    registry = offer(samples(classes=3), test=samples(classes=3, seed=1))
    whole = open_whole(registry, STUB, image_shape=SHAPE, classes=("a", "b", "c"))
    assert {name: len(split) for name, split in whole.items()} == {"train": 30, "test": 30}
    assert (np.asarray(whole["test"].pixels) == samples(seed=1).pixels).all()
