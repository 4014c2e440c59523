"""What is said of a training that has ended."""

from __future__ import annotations

import json

import pytest

from helpers import cli


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
