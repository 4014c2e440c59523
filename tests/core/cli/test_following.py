"""What is said of a training that has ended."""

from __future__ import annotations

import json

import pytest

from helpers import cli


def test_a_training_that_taught_nothing_says_so(tmp_path):
    line = ("train", "mlp", "--epochs", "1", "--lr")
    said = "no better than always answering '3': the network has learned nothing; try a lower --lr"
    code, out, err = cli(*line, "1e-12", "--output", tmp_path / "one")
    assert code == 0, err
    assert f"  {said}\n" in out
    code, out, err = cli(*line, "1e-12", "--output", tmp_path / "two", "--json")
    assert (code, json.loads(out)["remarks"]) == (0, [said]), err
    code, out, err = cli(*line, "1e-3", "--output", tmp_path / "three", "--json")
    assert (code, json.loads(out)["remarks"]) == (0, []), err


@pytest.mark.parametrize("schedule, ends", [("constant", True), ("cosine", False)])
def test_a_training_that_patience_ended_says_so(tmp_path, schedule, ends):
    """At a rate that moves nothing no epoch is better than the first."""
    line = ("train", "mlp", "--epochs", "7", "--lr", "1e-12", "--schedule", schedule)
    code, out, err = cli(*line, "--output", tmp_path / "run")
    assert code == 0, err
    said = "stopped early: no better epoch in 5; --patience 0 trains to the end"
    assert (said in out) == ends
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["epochs"] == (6 if ends else 7)
