"""What `cnnreg train` says of the data."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from helpers import cli


@pytest.fixture
def photos(tmp_path):
    """Two classes, with a test split of their own; one training file is no picture."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 128), ("test", 4)):
        for name, shade in (("dark", 0), ("light", 128)):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 128, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "photos" / "train" / "dark" / "5.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "train" / "light" / "5.heic").write_bytes(b"no picture")
    return tmp_path / "photos"


def test_a_share_of_data_with_such_a_split_is_said_to_do_nothing(photos, tmp_path):
    shares = ("--test-fraction", "0.3", "--val-fraction", "0.25")
    code, _, err = cli(
        "train", "mlp", "--data", photos, "--epochs", "1", *shares, "--output", tmp_path / "run"
    )
    assert code == 0, err
    assert "--test-fraction is not used: the data come with a test split of their own" in err
    assert "--val-fraction is not used" not in err
    assert "191 training, 64 validation, 8 test images" in err
    assert "moved and mirrored" in err
    assert "skipped an unreadable train image" in err
    assert "not used: 1 .heic in light (save as JPEG)" in err


def test_a_share_is_said_to_be_of_images_that_the_weights_run_did_not_know(photos, tmp_path):
    """Which stay where they were, so that the share looks as if it had not been heard."""
    folder = photos / "test"  # of classes alone
    once = ("train", "mlp", "--data", folder, "--epochs", "1")
    share = ("--test-fraction", "0.5")
    code, _, err = cli(*once, *share, "--output", tmp_path / "first")
    assert (code, "stay in the splits" in err) == (0, False)
    shutil.copy(folder / "dark" / "0.png", folder / "dark" / "new.png")
    code, _, err = cli(*once, *share, "--weights", tmp_path / "first", "--output", tmp_path / "b")
    assert code == 0, err
    assert "8 images were in the weights' run, by their names: they stay" in err


@pytest.mark.parametrize("begin, recipe, hinted", [(1, 0, True), (1, 1, False), (0, 0, False)])
def test_fine_tuning_has_a_recipe_that_is_hinted_at(tmp_path, begin, recipe, hinted):
    once = "train", "mlp", "--epochs", "1", "--output"
    assert cli(*once, tmp_path / "first")[0] == 0
    weights = ("--weights", tmp_path / "first") if begin else ()
    named = ("--recipe", "finetune") if recipe else ()
    code, _, err = cli(*once, tmp_path / "second", *weights, *named)
    assert code == 0, err
    assert ("to fine-tune it: --recipe finetune" in err) == hinted


def test_nothing_is_said_of_shares_that_were_not_asked_for(photos, tmp_path):
    code, _, err = cli(
        "train", "mlp", "--data", photos, "--epochs", "1", "--output", tmp_path / "run"
    )
    assert code == 0, err
    assert "is not used" not in err


@pytest.mark.parametrize("command", [("train", "vgg11"), ("compare", "vgg11")])
def test_a_folder_called_like_the_data_set_is_said_to_be_another(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    code, _, err = cli(*command, "--data", "digits", "--image-size", "8", "--output", "new")
    assert (code, "too small for this network" in err) == (2, True)
    assert "note: 'digits' is the data set; the folder of that name is ./digits" in err


def test_the_parameters_are_those_of_this_network(photos, tmp_path):
    code, _, err = cli(
        "train", "mlp", "--data", photos, "--epochs", "1", "--output", tmp_path / "run"
    )
    assert code == 0, err
    assert "mlp (49.80 k parameters)" in err  # of 8x8 pixels and two classes
