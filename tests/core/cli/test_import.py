"""`cnnreg import`: a run like any other, with data and without."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cnnreg.run_data import data_of_run
from cnnreg.runs import open_run
from cnnreg.training.saving.checkpoint import read_checkpoint
from helpers import Canary, cli, make_run, train


@pytest.fixture(scope="module")
def elsewhere(registry, tmp_path_factory):
    """Weights that read digits, in a file that does not say so."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run = make_run(registry, folder / "run", epochs=3)
    train(registry, run)
    tensors = read_checkpoint(run.best).model
    save_file(
        {f"module.{name}": tensor for name, tensor in tensors.items()}, folder / "w.safetensors"
    )
    return folder / "w.safetensors", run


@pytest.fixture(scope="module")
def with_data(elsewhere, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "run"
    code, out, err = cli(
        "import", elsewhere[0], "--arch", "mlp", "--data", "digits", "--output", folder
    )
    assert code == 0, err
    return folder, out


@pytest.fixture(scope="module")
def bare(elsewhere, tmp_path_factory):
    """Imported without data, but with the names of its classes."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "names").write_text("\n".join("0123456789"))
    code, _, err = cli(
        "import", elsewhere[0], "--arch", "mlp", "--classes", folder / "names",
        "--output", folder / "run",
    )  # fmt: skip
    assert code == 0, err
    return folder / "run"


def test_the_run_is_like_any_other(elsewhere, with_data):
    file, trained = elsewhere
    folder, out = with_data
    assert {path.name for path in folder.iterdir()} == {
        "run.json", "best.safetensors", "summary.txt", "summary.json",
    }  # fmt: skip
    imported = open_run(folder)
    assert imported.config.contract == trained.config.contract
    assert imported.config.data_fingerprint == trained.config.data_fingerprint
    assert imported.config.imported == {
        "file": "w.safetensors", "sha256": sha256(file.read_bytes()).hexdigest(),
        "taken": 6, "missing": [], "idle": [], "unused": [], "misshapen": [],
    }  # fmt: skip
    ours, theirs = (read_checkpoint(run.best).model for run in (imported, trained))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert "6 of 6 tensors taken" in out
    assert f"cnnreg eval {folder}\n" in out


def test_evaluated_and_exported(with_data, elsewhere):
    folder, _ = with_data
    code, out, err = cli("eval", folder, "--json")
    assert code == 0, err
    assert json.loads(out)["accuracy"] == elsewhere[1].result["test_accuracy"]
    code, out, err = cli("export", folder, "--onnx", "--json")
    assert code == 0, err
    code, out, err = cli("eval", folder / "exports" / "onnx-fp32", "--json")
    assert json.loads(out)["accuracy"] == pytest.approx(
        elsewhere[1].result["test_accuracy"], abs=0.01
    )


def test_listed_shown_and_not_resumed(with_data):
    folder, _ = with_data
    code, out, _ = cli("runs", "--root", folder.parent)
    row = out.splitlines()[1]
    assert row.split()[:3] == ["run", "mlp", "digits"]
    assert "imported from w.safetensors" in row
    code, out, _ = cli("runs", "show", folder)
    assert code == 0
    assert "imported from w.safetensors" in out
    code, _, err = cli("resume", folder, "--epochs", "5")
    assert code == 2
    assert "no state of a training" in err
    assert f"cnnreg train mlp --weights {folder}" in err


def test_trained_further(with_data, tmp_path):
    code, out, err = cli(
        "train", "mlp", "--weights", with_data[0], "--epochs", "1", "--lr", "1e-9", "--augment",
        "none", "--precision", "fp32", "--output", tmp_path / "run", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert "took 6 of 6 tensors from run" in err
    assert json.loads(out)["test_accuracy"] > 0.5


def test_without_data_it_predicts(bare, tmp_path, registry, elsewhere):
    test = data_of_run(registry, elsewhere[1]).test
    pixels, labels = np.asarray(test.pixels[:5])[:, :, :, 0], test.labels[:5]
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    files = [tmp_path / f"{number}.png" for number in range(5)]
    code, out, err = cli("predict", bare, *files, "--top", "1", "--json")
    assert code == 0, err
    predicted = [item["top"][0]["class"] for item in json.loads(out)["predictions"]]
    assert sum(int(name) == label for name, label in zip(predicted, labels, strict=True)) >= 3


@pytest.mark.parametrize("command", [["eval"], ["export", "--onnx"]], ids=" ".join)
def test_without_data_the_rest_asks_for_them(bare, command):
    code, out, err = cli(command[0], bare, *command[1:])
    assert (code, out) == (2, "")
    assert "imported without data" in err
    assert "--data" in err


def test_without_data_it_is_timed_on_noise(bare, monkeypatch):
    monkeypatch.setattr("cnnreg.timing.turns.SETTLE", 0)
    briefly = ("--rounds", "1", "--seconds", "0.02", "--warmup", "0.02")
    code, out, err = cli("bench", bare, *briefly)
    assert code == 0, err
    assert "on noise, not on your images: This model was imported without data." in out


def test_data_can_be_named_later(bare, tmp_path):
    code, out, err = cli("eval", bare, "--data", "digits", "--json")
    assert code == 0, err
    assert json.loads(out)["images"] == 360
    code, _, err = cli("export", bare, "--onnx", "--data", "digits")
    assert code == 0, err
    # An export that was moved away from its run still asks, rather than guess.
    moved = (bare / "exports" / "onnx-fp32").rename(tmp_path / "moved")
    code, _, err = cli("eval", moved)
    assert code == 2
    assert "imported without data" in err
    assert cli("eval", moved, "--data", "digits")[0] == 0


def test_other_classes_than_the_datas(elsewhere, tmp_path):
    code, _, err = cli("import", elsewhere[0], "--arch", "mlp", "--output", tmp_path / "run")
    assert code == 0
    assert "does not name its classes" in err
    for command in (["eval"], ["export", "--onnx"]):
        code, _, err = cli(*command, tmp_path / "run", "--data", "digits")
        assert code == 3
        assert "other classes" in err


def test_a_pickle_through_the_front_door(elsewhere, tmp_path):
    state = {"weights": read_checkpoint(elsewhere[1].best).model, "epoch": 3}
    torch.save(state, tmp_path / "w.pth")
    command = ("import", tmp_path / "w.pth", "--arch", "mlp", "--json")
    code, out, err = cli(*command, "--key", "weights", "--output", tmp_path / "run")
    assert code == 0, err
    found = json.loads(out)
    assert (found["taken"], found["contract"]["num_classes"]) == (6, 10)
    code, out, _ = cli(*command, "--output", tmp_path / "other")
    assert code == 4
    assert "its keys are weights, epoch" in json.loads(out)["error"]["message"]


def test_a_canary_through_the_front_door(tmp_path):
    torch.save({"state_dict": Canary(tmp_path / "canary")}, tmp_path / "w.pt")
    code, out, err = cli("import", tmp_path / "w.pt", "--arch", "mlp", "--output", tmp_path / "run")
    assert (code, out) == (4, "")
    assert "was not run" in err
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["w.pt"]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--arch", "mpl"], 2, "Did you mean mlp"),
        ([], 2, "--arch"),
        (["--arch", "mlp", "--mean", "a"], 2, "not a valid number"),
        (["--arch", "mlp", "--mean", "123.675,116.28,103.53"], 2, "divide by 255"),
        (["--arch", "vgg11"], 4, "does not fit 'vgg11'"),
        (["--arch", "mlp", "--image-size", "32"], 4, "for [300, 1024]"),
        (["--arch", "mlp", "--classes", "none.txt"], 3, "cannot be read"),
        (["--arch", "mlp", "--data", "nowhere/"], 3, "no such folder"),
    ],
)
def test_what_is_refused_leaves_no_run(elsewhere, tmp_path, arguments, code, said):
    got, out, err = cli("import", elsewhere[0], *arguments, "--output", tmp_path / "run")
    assert (got, out) == (code, ""), err
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
