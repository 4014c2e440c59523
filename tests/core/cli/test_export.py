from __future__ import annotations

import json
import signal

import pytest

from cnnreg.errors import GateError
from helpers import cli, make_run, train


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    run = make_run(registry, tmp_path_factory.mktemp("runs") / "run", epochs=3)
    train(registry, run)
    return run


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_stop_while_int8_is_sought_leaves_no_trace(run, monkeypatch, number, code):
    def stop(*arguments, **options):
        signal.raise_signal(number)

    monkeypatch.setattr("cnnreg.exporting.quantising.search", stop)
    ended, _, _ = cli("export", run.folder, "--openvino", "--precision", "int8")
    assert ended == code
    assert not [path for path in run.exports.iterdir() if path.is_dir()]


def test_int8_says_how_it_came_about(run):
    command = ("export", run.folder, "--openvino", "--precision", "int8", "--max-drop", "5")
    code, out, err = cli(*command, "--json")
    assert code == 0, err
    (result,) = json.loads(out)
    quantised = result["quantised"]
    assert (quantised["way"], quantised["float_layers"]) == ("fast", [])
    assert quantised["calibration_images"] == 300
    judged = quantised["judging_images"]
    assert judged == result["parity"]["openvino"]["judged"]
    code, out, err = cli(*command)
    assert f"post-training quantisation, calibrated on 300 images, judged on {judged}" in out


def test_a_refusal_tells_what_was_published_before_it(run, monkeypatch):
    def refuse(*arguments, **options):
        raise GateError("Too much is lost.")

    monkeypatch.setattr("cnnreg.exporting.quantising.search", refuse)
    command = ("export", run.folder, "--onnx", "--precision", "fp32,int8", "--json")
    code, out, _ = cli(*command)
    told = json.loads(out)
    assert code == told["error"]["exit"] == 8
    (published,) = told["finished"]
    assert (published["format"], published["precision"]) == ("onnx", "fp32")
    code, out, _ = cli("export", run.folder, "--onnx", "--precision", "int8", "--json")
    assert (code, list(json.loads(out))) == (8, ["error"])
