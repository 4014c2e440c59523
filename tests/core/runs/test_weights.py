"""Which weights a run holds, and which exports are of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cnnreg.runs.weights import is_outdated, weights_digest
from helpers import cli, make_run, train


def test_the_digest_is_the_checkpoints_own(registry, tmp_path):
    from cnnreg.training.saving.checkpoint import read_checkpoint

    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    assert weights_digest(run.best) == read_checkpoint(run.best).digest


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 9])
def test_what_is_no_checkpoint_has_none(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert weights_digest(tmp_path / "file") == weights_digest(tmp_path / "none") == ""


def test_an_export_is_outdated_once_its_run_has_other_weights(registry, tmp_path, monkeypatch):
    run = make_run(registry, tmp_path / "run", epochs=1)
    train(registry, run)
    export = run.exports / "onnx-fp32"
    export.mkdir(parents=True)
    made_of = {"schema": 1, "source": {"checkpoint_sha256": weights_digest(run.best)}}
    (export / "manifest.json").write_text(json.dumps(made_of))
    assert not is_outdated(export)
    assert "an export, proven equal" in cli("runs", "show", run.folder)[1]
    (export / "manifest.json").write_text('{"schema": 1, "source": {"checkpoint_sha256": "0ld"}}')
    assert is_outdated(export)
    assert "an export of older weights" in cli("runs", "show", run.folder)[1]
    for inside, name in ((run.folder, "exports/onnx-fp32"), (run.exports, "onnx-fp32")):
        monkeypatch.chdir(inside)
        assert is_outdated(Path(name))
    inner = shutil.copytree(run.exports, run.exports / "kept")
    assert is_outdated(inner / "onnx-fp32")
    shutil.rmtree(inner)
    (export / "manifest.json").write_text('{"name": "page"}')
    assert not is_outdated(export)
    assert "page" not in cli("runs", "show", run.folder)[1]
    assert "exports/onnx-fp32" not in cli("runs", "show", run.folder)[1]
    assert not is_outdated(tmp_path)
