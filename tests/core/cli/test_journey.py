"""From training to prediction, as a user types it, on the embedded digits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from cnnreg.cli.progress import DecodeProgress
from cnnreg.files import typed
from cnnreg.run_data import data_of_run
from cnnreg.runs import open_run
from helpers import cli, pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("a place with spaces ü")


@pytest.fixture(scope="module")
def run(folder):
    """A trained and exported run."""
    target = folder / "run"
    with pictures(drawn=True):
        code, out, err = cli("train", "mlp", "--epochs", "5", "--output", target, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["test_accuracy"] > 0.85
    code, out, err = cli(
        "export", target, "--onnx", "--openvino", "--precision", "fp32", "--precision", "int8",
        "--max-drop", "5", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert len(json.loads(out)) == 4
    return target


@pytest.fixture(scope="module")
def picture(folder, run, registry):
    test = data_of_run(registry, open_run(run)).test.take(8, seed=1)
    paths = []
    for number, pixels in enumerate(test.pixels):
        paths.append(folder / f"digit {number} é.png")
        Image.fromarray(np.asarray(pixels)[:, :, 0]).save(paths[-1])
    return paths


EXPORTS = ("onnx-fp32", "onnx-int8", "openvino-fp32", "openvino-int8")


def test_the_run_folder_can_be_read(run):
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "run.json", "metrics.jsonl", "curves.png", "best.safetensors", "last.safetensors",
        "result.json", "exports",
    }  # fmt: skip
    assert {path.parent.name for path in run.glob("exports/*/manifest.json")} == set(EXPORTS)


def test_training_ends_with_the_next_commands_for_this_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Path("runs", "an old one")  # which need not be the newest when it is gone on with
    code, out, err = cli("train", "mlp", "--epochs", "1", "--output", run)
    assert code == 0
    assert "embedded 'digits'" in err
    assert f"cnnreg export {typed(run)} --openvino" in out
    assert f"cnnreg runs show {typed(run)}" in out


def test_every_engine_measures_the_same_accuracy(run):
    models = [run, *(run / "exports" / name for name in EXPORTS if "fp32" in name)]
    accuracies = []
    for model in models:
        code, out, err = cli("eval", model, "--json")
        assert code == 0, err
        result = json.loads(out)
        assert (result["split"], result["images"]) == ("test", 360)
        accuracies.append(result["accuracy"])
    assert len(set(accuracies)) == 1
    assert accuracies[0] == pytest.approx(open_run(run).result["test_accuracy"])


def test_the_newest_run_is_taken_where_none_is_named_and_said(run, tmp_path, monkeypatch):
    taken = Path("runs", "run")
    shutil.copytree(run, tmp_path / taken, ignore=shutil.ignore_patterns("*-int8", "openvino-*"))
    monkeypatch.chdir(tmp_path)
    for command in (["eval"], ["bench", *BRIEFLY], ["export", "--onnx"]):
        code, out, err = cli(*command, "--json")
        assert code == 0, err
        assert f"note: no run was named: taking {taken}\n" in err
        assert str(taken) in out
        json.loads(out)
    assert f" s: {taken}\n" in cli("eval")[1]
    assert "no run was named" not in cli("eval", taken)[2]


def test_every_command_takes_the_name_that_runs_shows(run, tmp_path, monkeypatch, picture):
    shutil.copytree(run, tmp_path / "runs" / "first", ignore=shutil.ignore_patterns("exports"))
    monkeypatch.chdir(tmp_path)
    for command in (
        ["eval", "first"],
        ["predict", "first", picture[0]],
        ["bench", "first", *BRIEFLY],
        ["export", "first", "--onnx"],
        ["train", "mlp", "--weights", "first", "--epochs", "1"],
    ):
        code, _, err = cli(*command)
        assert code == 0, (command, err)
    assert (tmp_path / "runs" / "first" / "bench.json").exists()
    assert cli("resume", "first")[0] == 2  # finished


def test_bench_says_what_makes_an_engine_fit(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("exports"))
    code, _, err = cli("bench", copy, "--runtime", "openvino")
    assert (code, "export it first: cnnreg export" in err) == (2, True)


def test_onnx_runs_in_openvino_too(run):
    code, out, err = cli("eval", run / "exports/onnx-fp32", "--runtime", "openvino", "--json")
    assert code == 0, err
    assert json.loads(out)["runtime"] == "openvino"


@pytest.mark.parametrize("model", ["", *(f"exports/{name}" for name in EXPORTS)])
def test_predictions_name_classes_with_probabilities(run, picture, model):
    code, out, err = cli("predict", run / model, *picture, "--top", "3", "--json")
    assert code == 0, err
    predictions = json.loads(out)["predictions"]
    assert [item["image"] for item in predictions] == [str(path) for path in picture]
    for item in predictions:
        shares = [top["probability"] for top in item["top"]]
        assert shares == sorted(shares, reverse=True)
        assert all(top["class"] in "0123456789" for top in item["top"])


def test_a_model_file_moved_away_from_its_manifest_still_works(run, folder, picture):
    for source, name in (("onnx-fp32/model.onnx", "moved.onnx"), ("openvino-fp32/model", "moved")):
        for suffix in ("",) if name.endswith("onnx") else (".xml", ".bin"):
            shutil.copy(run / "exports" / (source + suffix), folder / (name + suffix))
    expected = json.loads(cli("predict", run, picture[0], "--json")[1])
    for name in ("moved.onnx", "moved.xml"):
        code, out, err = cli("predict", folder / name, picture[0], "--json")
        assert code == 0, err
        assert (
            json.loads(out)["predictions"][0]["top"][0]["class"]
            == (expected["predictions"][0]["top"][0]["class"])
        )


def test_predicting_with_an_export_needs_no_torch(run, picture):
    arguments = ["predict", str(run / "exports/openvino-fp32"), str(picture[0])]
    code = (
        "import sys\nfrom cnnreg.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules and 'torchvision' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout


def test_good_pictures_are_named_although_others_are_bad(run, picture, folder):
    (folder / "broken.jpg").write_bytes(picture[0].read_bytes()[:60])
    code, out, err = cli("predict", run, picture[0], folder / "broken.jpg", folder / "none.png")
    assert code == 3
    assert out.count("%") == 3
    assert f"note: {folder / 'broken.jpg'}: " in err
    assert "error: 2 of 3 images could not be used." in err
    code, out, err = cli("predict", run, picture[0], folder / "none.png", "--json")
    assert (code, len(json.loads(out)["predictions"])) == (3, 2)
    assert "note: 1 of 2 images could not be used." in err


@pytest.fixture(autouse=True)
def unsettled(monkeypatch):
    """What a turn waits for matters to figures alone."""
    monkeypatch.setattr("cnnreg.timing.turns.SETTLE", 0)


BRIEFLY = ("--rounds", "2", "--seconds", "0.02", "--warmup", "0.02")


def test_bench_reports_every_contestant_and_the_machine(run):
    code, out, err = cli("bench", run, *BRIEFLY, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert [result["runtime"] for result in report["results"]] == [
        "pytorch", "onnxruntime", "onnxruntime", "openvino", "openvino",
    ]  # fmt: skip
    assert {"processor", "isa", "load", "versions"} <= report["environment"].keys()
    assert (run / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_exports_of_weights_that_were_replaced_are_not_recommended(run, tmp_path, picture):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("onnx-*", "*-int8"))
    path = copy / "exports" / "openvino-fp32" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["source"]["checkpoint_sha256"] = "0ld"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    quick = ("--rounds", "1", "--seconds", "0.01", "--warmup", "0.01")
    code, out, err = cli("bench", copy, *quick)
    assert (code, "OpenVINO fp32 is of older weights: export the run again" in err) == (0, True)
    assert "Fastest here: PyTorch fp32" in out
    for command in (["eval", path.parent], ["predict", path.parent, picture[0]]):
        code, _, err = cli(*command)
        said = f"note: {path.with_name('model.xml')} is of older weights: export the run again"
        assert (code, said in err) == (0, True)


def test_figures_that_cannot_be_kept_are_one_document_all_the_same(run, tmp_path):
    taken = tmp_path / "taken"
    taken.touch()
    options = (*BRIEFLY, "--output", taken / "folder", "--json")
    code, out, err = cli("bench", run / "exports/onnx-fp32", *options)
    assert code == 5
    assert json.loads(out)["results"]
    assert "note: The report was not kept: " in err


def test_a_chart_that_cannot_be_drawn_costs_the_chart_alone(run, tmp_path, monkeypatch):
    def broken(*arguments):
        raise ValueError("no such\nletter")

    monkeypatch.setattr("cnnreg.pictures.latencies.draw_latencies", broken)
    options = (*BRIEFLY, "--output", tmp_path, "--json")
    code, out, err = cli("bench", run / "exports/onnx-fp32", *options)
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert "note: the chart could not be drawn: ValueError: no such letter" in err


def test_the_bench_table_is_for_people(run):
    code, out, _ = cli("bench", run / "exports/onnx-fp32", *BRIEFLY)
    assert code == 0
    assert "ONNX Runtime fp32" in out
    assert "p99" in out


class Watched(DecodeProgress):
    seen: ClassVar[list[str]] = []

    def update(self, split, done, total):
        self.seen.append(split)

    def __exit__(self, *error):
        self.seen.append("end")
        super().__exit__(*error)


def test_a_folder_of_pictures_is_enough_to_train(folder, picture, registry, run, monkeypatch):
    monkeypatch.setattr("cnnreg.cli.train.DecodeProgress", Watched)
    data = data_of_run(registry, open_run(run))
    for index in range(60):
        label = int(data.train.labels[index]) % 3
        target = folder / "photos" / ("ace", "two words", "ünï")[label]
        target.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.train.pixels[index][:, :, 0]).convert("RGB").save(
            target / f"{index}.png"
        )
    code, _, err = cli(
        "train", "simple_cnn", "--data", folder / "photos", "--val-fraction", "0.25",
        "--test-fraction", "0.4", "--epochs", "1", "--output", folder / "photo-run", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert list(dict.fromkeys(Watched.seen)) == ["train", "val", "test", "end"]
    photos = data_of_run(registry, open_run(folder / "photo-run"))
    assert [len(split) for split in (photos.train, photos.val, photos.test)] == [29, 8, 23]
    assert open_run(folder / "photo-run").config.contract.classes == ("ace", "two words", "ünï")
    code, _, err = cli("export", folder / "photo-run", "--openvino")
    assert code == 0, err
    code, _, err = cli("eval", folder / "photo-run", "--data", "digits")
    assert code == 3
    assert "other classes" in err


def test_resume_refuses_a_finished_run_and_changed_data(run):
    code, _, err = cli("resume", run)
    assert code == 2
    assert "has finished" in err


def test_doctor_shows_devices(registry):
    code, out, _ = cli("doctor", "--json")
    assert code == 0
    report = json.loads(out)
    assert {facts["name"] for facts in report["runtimes"]} == set(registry.runtimes)
    assert any("CPU" in facts["devices"] for facts in report["runtimes"])
    assert cli("doctor")[0] == 0


def test_paths_may_be_relative(run, picture, monkeypatch):
    monkeypatch.chdir(run.parent)
    code, _, err = cli("predict", Path("run"), picture[0].name)
    assert code == 0, err
