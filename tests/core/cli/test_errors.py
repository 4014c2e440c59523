"""Bad input: one line each, the documented exit code, nothing lost, no traceback."""

from __future__ import annotations

import json
import shutil

import pytest

from cnnreg.cli import common
from cnnreg.files import sole_writer
from helpers import cli, make_run, refused, train


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    made = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=1)
    train(registry, made)
    return made


@pytest.mark.parametrize(
    ("code", "said", "arguments"),
    [
        (2, "resnet50", ["train", "resnet5o"]),
        (2, "Did you mean adam", ["train", "mlp", "--optimizer", "adm"]),
        (2, "epochs must be at least 1", ["train", "mlp", "--epochs", "0"]),
        (2, "learning rate must be above 0", ["train", "mlp", "--lr", "-1"]),
        (2, "epochs must be at most", ["train", "mlp", "--epochs", "9" * 400]),
        (2, "nesterov looks ahead", ["train", "mlp", "--optimizer", "nesterov", "--momentum", "0"]),
        (3, "no home folder", ["train", "mlp", "--data", "~nobody-of-that-name/photos"]),
        (2, "'wavy' is not one of", ["train", "mlp", "--schedule", "wavy"]),
        (2, "'spin' is not one of", ["train", "mlp", "--augment", "spin"]),
        (2, "'many' is not a valid integer", ["train", "mlp", "--epochs", "many"]),
        (2, "'--dropout': nan is not a number", ["train", "mlp", "--dropout", "nan"]),
        (2, "'--max-drop': nan is not a number", ["export", "--onnx", "--max-drop", "nan"]),
        (2, "'--seconds': nan is not a number", ["bench", "--seconds", "nan"]),
        (2, "Missing argument", ["train"]),
        (2, "No such option", ["train", "mlp", "--fast"]),
        (2, "No such command 'tarin'. Did you mean train", ["tarin"]),
        (2, "cifar10", ["train", "mlp", "--data", "cifar1O"]),
        (3, "no such folder", ["train", "mlp", "--data", "./nowhere"]),
        (2, "The name of the data is empty", ["train", "mlp", "--data="]),
        (2, "mlp has one form for all sizes", ["train", "mlp", "--form", "small"]),
        (2, "mlp has one form for all sizes", ["info", "mlp", "--form", "small"]),
        (2, "Image size 8 is too small", ["info", "vgg16", "--image-size", "8"]),
        (5, "There is no device 'gpu' here.", ["train", "mlp", "--device", "GPU"]),
        (2, "too small for this network", ["train", "vgg11", "--image-size", "8"]),
        (2, "There is no such model", ["predict", "nothing", "x.png"]),
        (2, "Say which format", ["export"]),
        (2, "no run yet", ["export", "--onnx"]),
        (2, "'int4' is not one of", ["export", "--onnx", "--precision", "fp32,int4"]),
        (2, "no run yet", ["bench"]),
        (2, "Unknown plugin", ["plugins", "disable", "nope"]),
    ],
)  # fmt: skip
def test_refused(code, said, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if arguments[:2] == ["plugins", "disable"]:
        got, _, err = cli(*arguments)
        assert (got, said in err) == (code, True)
    else:
        refused(code, said, *arguments)
    assert not (tmp_path / "runs").exists()


def test_missing_data_offline_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    code, _, err = cli("train", "mlp", "--data", "mnist")
    assert code == 5
    assert "train-images-idx3-ubyte" in err
    assert list(tmp_path.rglob("*ubyte*")) == []


def test_a_corrupt_checkpoint_is_refused_and_left_alone(registry, tmp_path):
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    damaged = bytearray(run.best.read_bytes())
    damaged[-20] ^= 1
    run.best.write_bytes(damaged)
    refused(4, "sha256 differs", "eval", run.folder)
    assert run.best.read_bytes() == damaged


def test_a_checkpoint_of_another_class_count_is_refused(registry, run, tmp_path):
    other = make_run(registry, tmp_path / "other", epochs=1)
    data = json.loads((other.folder / "run.json").read_text())
    data["contract"]["num_classes"] = 7
    data["contract"]["classes"] = list("abcdefg")
    (other.folder / "run.json").write_text(json.dumps(data))
    other.best.write_bytes(run.best.read_bytes())
    refused(3, "other classes", "eval", other.folder)


def test_a_checkpoint_of_another_network_is_refused(registry, run, tmp_path):
    other = make_run(registry, tmp_path / "other", "simple_cnn", epochs=1)
    other.best.write_bytes(run.best.read_bytes())
    refused(4, "made for 'mlp', not 'simple_cnn'", "eval", other.folder)


def test_a_model_whose_plugin_is_gone_names_the_plugin(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNREG_PLUGINS", "digits,pytorch-runtime")
    refused(6, "'mlp' is not installed", "eval", run.folder)


def test_an_output_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused(5, "Cannot write", "train", "mlp", "--epochs", "1", "--output", tmp_path / "file/run")
    refused(5, "Cannot write", "export", run.folder, "--onnx", "--output", tmp_path / "file/out")
    refused(2, "is a file", "train", "mlp", "--output", tmp_path / "file")
    refused(2, "not empty", "train", "mlp", "--output", tmp_path)
    with sole_writer(run.folder):
        refused(5, "In use by", "train", "mlp", "--output", run.folder)


@pytest.mark.parametrize("named", ["https://example.com/cat.jpg", "-"])
def test_a_picture_that_is_no_file_is_refused_as_it_was_typed(run, named):
    refused(2, named, "predict", run.folder, named)


def test_an_absent_device_names_those_there_are(run):
    refused(5, "CPU", "bench", run.folder, "--device", "NPU")
    refused(5, "--device cpu", "train", "mlp", "--device", "cuda:9", "--output", run.folder / "no")


def test_a_damaged_export_is_refused_before_a_runtime_sees_it(registry, run):
    code, _, err = cli("export", run.folder, "--onnx")
    assert code == 0, err
    model = run.exports / "onnx-fp32/model.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    refused(4, "Incomplete", "predict", run.exports / "onnx-fp32", "x.png")


def test_a_missing_extra_says_the_line_that_mends_it(monkeypatch, run):
    from cnnreg import engines

    monkeypatch.setattr(engines, "missing", lambda modules: "nncf" if "nncf" in modules else None)
    refused(5, 'pip install "cnn-registry[train]"', "export", run.folder, "--openvino")


def test_patterns_are_files_where_the_shell_leaves_them_as_they_are(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.jpg", "[1].jpg", "c.png"):
        (tmp_path / name).touch()

    def spread(*names):
        found = common.spread(None, None, tuple(tmp_path / name for name in names))
        return [path.name for path in found]

    assert spread("*.jpg") == ["*.jpg"]
    monkeypatch.setattr(common, "WINDOWS", True)
    assert spread("c.png", "*.jpg") == ["c.png", "[1].jpg", "a.jpg", "b.jpg"]
    assert spread("[1].jpg", "*.gif") == ["[1].jpg", "*.gif"]
    assert spread("[a].jpg", "[*.jpg") == ["[a].jpg", "[1].jpg"]


@pytest.mark.usefixtures("homeless")
def test_without_a_home_nothing_is_disabled_and_nothing_can_be():
    code, out, err = cli("--help")
    assert (code, "Commands:" in out, err) == (0, True, "")
    assert cli("list")[0] == 0
    code, _, err = cli("plugins", "disable", "digits")
    assert (code, "CNNREG_HOME" in err) == (5, True)


def test_json_is_ascii_for_any_pipe(run, tmp_path):
    named = shutil.copytree(run.folder, tmp_path / "кошка")
    code, out, _ = cli("runs", "show", named, "--json")
    assert code == 0
    assert out.isascii()
    assert "кошка" in str(json.loads(out))
