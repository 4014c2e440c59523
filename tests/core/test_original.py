from __future__ import annotations

import numpy as np


def test_the_images_are_those_of_the_validation_and_training_splits(registry, original):
    data = original.run.open_data(registry)
    val = {image.tobytes() for image in data.val.pixels}
    training = {image.tobytes() for image in data.train.pixels}
    judged, more = np.split(original.images, [len(original.labels)])
    assert {image.tobytes() for image in judged} == val
    assert {image.tobytes() for image in more} <= training
    assert len(original.images) == 256
    assert {image.tobytes() for image in original.calibration} <= training
    assert len(original.calibration) == 300
