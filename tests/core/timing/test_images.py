"""What is timed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnreg.errors import DataError
from cnnreg.specs import ModelFile
from cnnreg.timing.images import images_to_time
from helpers import contract


@pytest.fixture
def asked(registry, tmp_path):
    """Of a file that lies alone, of a model of somebody's folder."""
    path = tmp_path / "model.onnx"

    def asked(*, batch=1, data=None, data_dir=None, **changes):
        own = contract(dataset="folder", **changes)
        model = ModelFile(path=path, format="onnx", precision="fp32", contract=own)
        return images_to_time(registry, model, path, data=data, data_dir=data_dir, batch=batch)

    return asked


def test_without_images_it_is_noise_the_same_each_time_and_said(asked):
    timed, again = asked(batch=16), asked(batch=16)
    assert (timed.pixels.shape, timed.pixels.dtype) == ((128, 8, 8, 1), np.uint8)
    assert (timed.pixels == again.pixels).all()
    assert timed.pixels.std() > 50
    assert timed.warning.startswith("on noise, not on your images: ")


@pytest.mark.parametrize(("batch", "images"), [(8, 64), (32, 192), (300, 300)])
def test_of_large_images_there_are_no_more_than_are_timed(asked, batch, images):
    """Six batches of 32 fit into what a contestant's inputs may take, and of 300 one."""
    assert len(asked(input_shape=(1, 400, 400), batch=batch).pixels) == images


@pytest.mark.parametrize("batch", [1, 5])
def test_any_pictures_will_do(asked, tmp_path, batch):
    """Of no class, and of classes that the model does not have; what is none is left out."""
    for name in ("1.png", "bird/2.PNG", "bird/deep/3.png", ".hidden/4.png"):
        (tmp_path / "new" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 10 * int(Path(name).stem)).save(tmp_path / "new" / name)
    (tmp_path / "new" / "bird" / "damaged.jpg").write_bytes(b"x")
    (run := tmp_path / "new" / "runs" / "first").mkdir(parents=True)
    (run / "run.json").touch()
    Image.new("L", (9, 9), 99).save(run / "curves.png")
    timed = asked(data=str(tmp_path / "new"), batch=batch)
    assert timed.warning == ""
    assert len(timed.pixels) >= batch
    assert set(np.unique(timed.pixels)) == {10, 20, 30}


def test_what_is_named_is_not_replaced_by_noise(asked, tmp_path):
    (tmp_path / "empty").mkdir()
    for data in ("empty", "none"):
        with pytest.raises(DataError):
            asked(data=str(tmp_path / data))
