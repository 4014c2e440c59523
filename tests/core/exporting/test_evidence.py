"""The sections of a model card that rest on figures."""

from __future__ import annotations

import json
import re

import numpy as np

from cnnreg.exporting.evidence import accuracy, speed
from cnnreg.runs.report import make_report
from cnnreg.specs import Interface, ModelFile
from helpers import make_run


def test_times_are_those_of_this_export_or_the_command_that_measures(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    exported = ModelFile(
        path=tmp_path / "model.onnx",
        format="onnx",
        precision="fp32",
        contract=run.config.contract,
        interface=Interface(embed=True),
    )
    assert "cnnreg bench" in speed(run, exported)
    times = {"p50": 0.5, "p90": 0.6, "p99": 0.7, "speedup": 2.0}
    before = "C:\\before\\run"  # it has been moved since
    results = [
        {"label": label, "model": model, **times}
        for label, model in (
            ("PyTorch fp32", f"{before}\\best.safetensors"),
            ("ONNX fp32", f"{before}\\exports\\onnx-fp32-embed\\model.onnx"),
            ("bare", f"{before}\\exports\\onnx-fp32\\model.onnx"),
            ("IR", f"{before}\\exports\\openvino-fp32\\model.xml"),
            ("other", "runs/other/exports/onnx-fp32-embed/model.onnx"),
        )
    ]
    bench = {
        "results": results,
        "threads": 2,
        "options": {"batch": 1},
        "environment": {"processor": "CPU <3"},
    }
    (run.folder / "bench.json").write_text(json.dumps(bench), encoding="utf-8")
    told = speed(run, exported)
    assert "| PyTorch fp32 | 0.500 | 0.600 | 0.700 | 2.00x |" in told
    assert "| ONNX fp32 |" in told
    assert not re.search(r"\| (bare|IR|other) \|", told)
    assert "CPU \\<3" in told
    others = {**bench, "results": [results[-1], *results]}
    (run.folder / "bench.json").write_text(json.dumps(others), encoding="utf-8")
    assert "Not measured yet" in speed(run, exported)
    for damaged in ("{", '{"results": [{}]}', "[]", '{"results": 1}'):
        (run.folder / "bench.json").write_text(damaged, encoding="utf-8")
        assert "cnnreg bench" in speed(run, exported)


def test_of_many_classes_the_worst_are_shown(monkeypatch):
    monkeypatch.setattr("cnnreg.exporting.evidence.LISTED", 4)
    monkeypatch.setattr("cnnreg.exporting.evidence.WORST", 3)
    labels = np.repeat(np.arange(5), 4)
    said = labels.copy()
    for name, wrong in ((1, 1), (4, 3), (2, 2)):
        said[name * 4 : name * 4 + wrong] = 0
    report = make_report(labels, said, np.ones(20), classes=tuple("abcde"), epoch=0)
    text = accuracy(report, "test")
    assert "70.00 % of 20 test images" in text
    assert "The 3 classes recognised worst" in text
    assert re.findall(r"^\| (\w) \|", text, re.MULTILINE) == ["e", "c", "b"]
