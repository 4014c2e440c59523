"""`cnnreg eval` on images of a user's own: which they are, and what the model knows of them."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers import cli, photos

PLAIN = [
    "--batch-size",
    "16",
    "--precision",
    "fp32",
    "--layout",
    "channels-last",
    "--compile",
    "off",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with photos, and a run on them."""
    folder = tmp_path_factory.mktemp("trained")
    photos(folder / "photos", 40)
    code, _, err = cli(
        "train", "mlp", "--data", folder / "photos", "--epochs", "1", *PLAIN, "--output",
        folder / "run",
    )  # fmt: skip
    assert code == 0, err
    return folder


@pytest.fixture
def place(trained, tmp_path):
    """A copy of both."""
    return shutil.copytree(trained, tmp_path / "copy")


def evaluated(*arguments):
    code, out, err = cli("eval", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_an_export_away_from_its_run_says_when_its_splits_are_not_the_runs(place):
    """Where images were added, seed and shares alone make others."""
    run, data, out = place / "run", place / "photos", place / "out"
    assert cli("export", run, "--data", data, "--onnx", "--output", out)[0] == 0
    assert evaluated(out / "onnx-fp32", "--data", data)["remark"] == ""
    photos(data, 60)
    code, _, err = cli("resume", run, "--data", data, "--epochs", "2", "--accept-data")
    assert code == 0, err
    assert cli("export", run, "--data", data, "--onnx", "--output", out)[0] == 0
    (moved := place / "model.onnx").write_bytes((out / "onnx-fp32" / "model.onnx").read_bytes())
    for model in (out / "onnx-fp32", moved):
        assert "it was trained on is not known" in evaluated(model, "--data", data)["remark"]
        assert "evaluate the run itself" in cli("eval", model, "--data", data)[1]
    assert "not known" not in evaluated(run, "--data", data)["remark"]
