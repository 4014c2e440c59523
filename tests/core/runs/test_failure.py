"""failure.json: there from one failure until the training goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnreg.errors import MachineError
from cnnreg.files import read_json
from cnnreg.runs import recorded_failure
from helpers import make_run, refuse_once


def test_what_ended_a_training_is_told_until_it_goes_on(registry, tmp_path, monkeypatch):
    run = make_run(registry, tmp_path / "run")
    path = run.folder / "failure.json"
    with pytest.raises(RuntimeError), recorded_failure(run):
        raise RuntimeError("a cable")
    assert read_json(path)["what"] == "RuntimeError: a cable"
    refuse_once(monkeypatch, "unlink")  # by a scanner: it is waited for
    with recorded_failure(run):
        assert not path.exists()


def test_where_it_cannot_be_removed_that_is_said(registry, tmp_path, monkeypatch):
    def refused(self, **options):
        raise OSError("Input/output error")

    monkeypatch.setattr(Path, "unlink", refused)
    run = make_run(registry, tmp_path / "run")
    with pytest.raises(MachineError, match="Input/output error"), recorded_failure(run):
        pytest.fail("begun")
