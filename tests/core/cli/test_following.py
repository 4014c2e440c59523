"""What is said of a training before it begins and after it has ended."""

from __future__ import annotations

import json

import pytest
import torch

from cnnreg.training.building import device_text
from helpers import cli


def test_a_training_that_taught_nothing_says_so(tmp_path):
    line = ("train", "mlp", "--epochs", "1", "--lr")
    said = (
        "no better than always answering '3': the network has learned nothing; "
        "try another --lr, or more epochs"
    )
    code, out, err = cli(*line, "1e-12", "--output", tmp_path / "one")
    assert code == 0, err
    assert f"  {said}\n" in out
    code, out, err = cli(*line, "1e-12", "--output", tmp_path / "two", "--json")
    assert (code, json.loads(out)["remarks"]) == (0, [said]), err
    code, out, err = cli(*line, "1e-3", "--output", tmp_path / "three", "--json")
    assert (code, json.loads(out)["remarks"]) == (0, []), err


def test_what_a_training_runs_on_is_told(tmp_path):
    run = tmp_path / "run"
    code, _, err = cli("train", "mlp", "--epochs", "1", "--device", "cpu", "--output", run)
    assert code == 0, err
    assert "seed 0, on the processor\n" in err


def test_a_gpu_is_told_by_its_number_and_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"RTX {index}")
    assert device_text(torch.device("cuda")) == "cuda:1 (RTX 1)"
    assert device_text(torch.device("cuda:0")) == "cuda:0 (RTX 0)"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], None),
        (["--schedule", "constant"], "no better epoch in 5; --patience 0"),
        (["--patience", "5"], "no better epoch in 5, before its rate had come down; --patience 0"),
    ],
)
def test_a_training_that_patience_ended_says_so(tmp_path, flags, said):
    """At a rate that moves nothing no epoch is better than the first."""
    line = ("train", "mlp", "--epochs", "7", "--lr", "1e-12", *flags)
    code, out, err = cli(*line, "--output", tmp_path / "run")
    assert code == 0, err
    assert ("stopped early" in out) == bool(said)
    assert said is None or f"stopped early: {said} trains to the end" in out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["epochs"] == (6 if said else 7)
