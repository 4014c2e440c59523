"""What was timed must answer, and alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnnreg.engines import CHECKPOINT
from cnnreg.errors import MachineError, ModelFileError, PluginError
from cnnreg.specs import ModelFile
from cnnreg.timing.agreement import judged
from cnnreg.timing.bench import BenchOptions, Contestant, benchmark
from helpers import contract
from slow_sessions import Clock, Waiting

BRIEFLY = BenchOptions(batch=2, rounds=2, seconds=0.02, warmup=0.02)
IMAGES = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)  # one more than whole batches
ENGINE = SimpleNamespace(name="toy", title="Toy", requires=())


class Answering(Waiting):
    """Names the class that an image's pixel says, `odd` of them otherwise."""

    odd, where = 0, "none"

    @staticmethod
    def wrong(logits):
        return logits

    def prepare(self, images):
        return images

    def infer(self, inputs):
        self.clock.now += self.seconds
        classes = (
            inputs.ravel() % 3
            if self.odd == 0
            else (inputs.ravel() + (inputs.ravel() < self.odd)) % 3
        )
        return self.wrong(np.eye(3, dtype=np.float32)[classes])

    def describe(self):
        return {"device": self.where}


@pytest.fixture
def outcomes(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("cnnreg.timing.turns.perf_counter", clock)

    def outcomes(*changes, runs=("run", "run", "run")):
        contestants = []
        for number, change in enumerate(changes):
            session = Answering(clock, 0.001)
            vars(session).update(change)
            path = Path(f"/{runs[number]}/exports/x{number}/model.onnx")
            form = change.pop("form", "onnx")
            model = ModelFile(path=path, format=form, precision="fp32", contract=contract())
            contestants.append(Contestant(f"engine {number}", model, ENGINE, session, 0.0))
        timed = list(zip(contestants, benchmark(contestants, IMAGES, BRIEFLY), strict=True))
        return [outcome for _, outcome in judged(timed, IMAGES, BRIEFLY.batch)]

    return outcomes


def test_one_that_decides_otherwise_is_told(outcomes):
    first, same, other = outcomes({}, {}, {"odd": 2})
    assert (first.agreement, same.agreement, other.agreement) == (1.0, 1.0, 0.75)
    told = "decides 2 of 8 images otherwise than engine 0"
    assert told in other.warnings
    assert told not in first.warnings + same.warnings


def test_it_is_the_original_that_they_are_to_agree_with_wherever_it_stands(outcomes):
    wrong, original, same = outcomes({"odd": 2}, {"form": CHECKPOINT}, {})
    assert (wrong.agreement, original.agreement, same.agreement) == (0.75, 1.0, 1.0)
    assert "decides 2 of 8 images otherwise than engine 1" in wrong.warnings


@pytest.mark.parametrize(("odd", "otherwise"), [(1, False), (2, True), (8, True)])
def test_what_is_beyond_chance_against_the_original_is_a_verdict(outcomes, odd, otherwise):
    """Of eight, one may be of those few that int8 decides otherwise."""
    original, other = outcomes({"form": CHECKPOINT}, {"odd": odd})
    assert (original.answers_otherwise, other.answers_otherwise) == (False, otherwise)
    first, other = outcomes({}, {"odd": odd})  # who of them is right nobody knows
    assert not first.answers_otherwise
    assert not other.answers_otherwise


def test_other_weights_may_decide_as_they_like(outcomes):
    results = outcomes({}, {"odd": 2}, {"odd": 2}, runs=("one", "two", "two"))
    assert [result.agreement for result in results] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("wrong", "where", "error", "said"),
    [
        (lambda logits: logits * np.nan, "GPU", MachineError, "NaN or infinity on GPU"),
        (lambda logits: logits * np.nan, "CPU", ModelFileError, "NaN or infinity on CPU"),
        (lambda logits: logits[:, :2], "CPU", ModelFileError, "2 logits"),
        (lambda logits: logits[:1], "CPU", PluginError, "TypeError"),
        (lambda logits: logits.tolist(), "CPU", PluginError, "not an array"),
    ],
)
def test_the_time_of_no_answer_is_none(outcomes, wrong, where, error, said):
    broken = {"wrong": wrong, "where": where}
    sound, lost = outcomes({}, broken)
    assert sound.agreement == 1.0
    assert isinstance(lost, error)
    assert said in lost.what
    with pytest.raises(error):
        outcomes(broken, {})
