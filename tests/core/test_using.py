"""Opening, asking and measuring a model; training one from Python."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import cnnreg
from cnnreg import DataError, UsageError
from cnnreg.using import evaluate, load, predict


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    epochs = []
    run = cnnreg.train(
        "mlp",
        image_size=8,
        epochs=3,
        output=tmp_path_factory.mktemp("runs") / "run",
        on_epoch=epochs.append,
        registry=registry,
    )
    assert [record.epoch for record in epochs] == [1, 2, 3]
    return run


@pytest.fixture(scope="module")
def model(registry, run):
    return load(run.folder, registry=registry)


def test_an_evaluation_is_what_training_measured(model, run):
    found = evaluate(model)
    assert found.accuracy == pytest.approx(run.result["test_accuracy"])
    assert found.right == round(found.accuracy * found.images)
    assert evaluate(model, split="val").accuracy == pytest.approx(run.result["val_accuracy"])


def test_a_file_and_its_pixels_get_the_same_answer(model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    guesses = predict(model, tmp_path / "picture.png", top=10)
    assert guesses == predict(model, pixels, top=10)
    assert sum(guess.probability for guess in guesses) == pytest.approx(1)
    assert sorted(guess.name for guess in guesses) == sorted(model.classes)


def test_what_is_no_picture_is_refused(model, tmp_path):
    with pytest.raises(DataError, match=r"uint8 \[H, W, 1 or 3\], not float32"):
        predict(model, np.zeros((8, 8, 3), np.float32))
    with pytest.raises(DataError):
        predict(model, tmp_path / "none.png")


def test_a_split_that_is_not_there_is_named(model):
    with pytest.raises(UsageError, match="'holdout'"):
        evaluate(model, split="holdout")


def test_settings_that_do_not_exist_are_named(registry):
    with pytest.raises(UsageError, match="'epoch'"):
        cnnreg.train("mlp", epoch=3, registry=registry)
