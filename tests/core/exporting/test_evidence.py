"""The sections of a model card that rest on figures."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import numpy as np

from cnnreg.exporting.evidence import accuracy, speed
from cnnreg.runs.report import make_report
from cnnreg.specs import Interface, ModelFile
from helpers import make_run


def test_times_are_those_of_this_export_or_the_command_that_measures(registry, tmp_path):
    run = make_run(registry, tmp_path / "run")
    run.best.write_bytes(b"original")
    (tmp_path / "model.onnx").write_bytes(b"export")
    exported = ModelFile(
        path=tmp_path / "model.onnx",
        format="onnx",
        precision="fp32",
        contract=run.config.contract,
        interface=Interface(embed=True),
    )
    assert speed(run, exported) == (
        "Not measured before this export: `cnnreg bench RUN` does it, on the machine at hand, and "
        "exporting again by the same command tells it here."
    )
    times = {"device": "CPU", "p50": 0.5, "p90": 0.6, "p99": 0.7, "speedup": 2.0}
    results = [
        {"label": label, "sha256": sha256(content).hexdigest(), **times}
        for label, content in (
            ("PyTorch fp32", b"original"),
            ("ONNX fp32", b"export"),
            ("earlier", b"export of the same name"),
        )
    ]
    results.append({**results[1], "label": "ONNX in OpenVINO", "device": "GPU.0"})
    bench = {
        "results": results,
        "threads": 2,
        "options": {"batch": 1},
        "environment": {"processor": "CPU <3", "power": "battery"},
        "created": "2026-11-25T10:00:00+01:00",
    }
    (run.folder / "bench.json").write_text(json.dumps(bench), encoding="utf-8")
    told = speed(run, exported)
    assert "| PyTorch fp32 | CPU | 0.500 | 0.600 | 0.700 | 2.00x |" in told
    assert "| ONNX fp32 | CPU |" in told
    assert "| ONNX in OpenVINO | GPU.0 |" in told
    assert "earlier" not in told
    assert "a call of 1, 2 threads, CPU \\<3, on battery, 2026-11-25:" in told
    assert told.endswith("2.00x |")
    warned = {
        **results[1],
        "warnings": ["drifted by +9 % over the rounds", "p99 rests on 20 calls"],
    }
    busy = {**bench, "results": [results[0], warned], "warnings": ["other programs use 1 of 2"]}
    (run.folder / "bench.json").write_text(json.dumps(busy), encoding="utf-8")
    assert speed(run, exported).endswith(
        "\n\n- other programs use 1 of 2\n"
        "- ONNX fp32: drifted by +9 % over the rounds; p99 rests on 20 calls"
    )
    others = {**bench, "results": [results[2], *results]}
    (run.folder / "bench.json").write_text(json.dumps(others), encoding="utf-8")
    assert "Not measured before" in speed(run, exported)
    (run.folder / "bench.json").write_text(json.dumps(bench), encoding="utf-8")
    exported.path.write_bytes(b"written anew")
    assert "Not measured before" in speed(run, exported)
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
