import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

from cnnreg.data import data_config, open_dataset
from cnnreg.specs import DataRequest
from cnnreg_plugins.datasets.digits import open_digits

ALONE = """
import sys
from cnnreg.data import data_config, open_dataset
from cnnreg.registry import load_registry

registry = load_registry()
assert len(open_dataset(registry, data_config("digits", registry)).test) == 360
assert not {"torch", "sklearn", "scipy"} & set(sys.modules)
"""


def test_digits(registry):
    data = open_dataset(registry, data_config("digits", registry))
    assert data.classes == tuple("0123456789")
    assert data.image_shape == (1, 28, 28)
    assert (len(data.train), len(data.val), len(data.test)) == (1298, 139, 360)
    assert data.train.pixels.shape == (1298, 28, 28, 1)
    assert data.train.pixels.max() > 250
    assert data.augment == "crop"


def digest(samples):
    return sha256(samples.pixels.tobytes() + samples.labels.tobytes()).hexdigest()[:16]


def test_the_test_split_is_fixed_and_stratified():
    source = open_digits(DataRequest())
    assert source.test is not None and source.test.pixels is not None
    assert np.bincount(source.test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    # Another order or split would change the runs that were trained on this one.
    assert digest(source.train) == "7531db42dd3ff2d2"
    assert digest(source.test) == "a2fc2790f951761e"
    assert (source.test.pixels.min(), source.test.pixels.max()) == (0, 255)


def test_they_are_the_published_ones():
    published = pytest.importorskip("sklearn.datasets").load_digits()
    source = open_digits(DataRequest())
    assert source.test is not None
    ours = [
        (int(label), image.tobytes())
        for samples in (source.train, source.test)
        for label, image in zip(samples.labels, samples.pixels, strict=True)
    ]
    pixels = (published.images * (255 / 16)).round().astype(np.uint8)
    theirs = [(int(n), image.tobytes()) for n, image in zip(published.target, pixels, strict=True)]
    assert sorted(ours) == sorted(theirs)


def test_numpy_and_pillow_are_enough():
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
