"""The latency method, on sessions whose speed is known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnnreg.specs import ModelFile
from cnnreg.timing.bench import BenchOptions, Contestant, benchmark
from helpers import contract


class Clock:
    """Time that passes only in calls: what the machine does meanwhile changes no result."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-7
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("cnnreg.timing.bench.perf_counter", CLOCK)


class Waiting:
    """Takes the given time a call, and notes what it is called with."""

    def __init__(self, seconds: float, log: list[str] | None = None, name: str = "") -> None:
        self.seconds, self.log, self.name, self.seen = seconds, log, name, set()

    def prepare(self, images):
        return images.tobytes()

    def infer(self, inputs):
        self.seen.add(inputs)
        if self.log is not None:
            self.log.append(self.name)
        CLOCK.now += self.seconds
        return np.zeros((1, 3), np.float32)

    def describe(self):
        return {"device": "none"}


def contestant(session, title="slow"):
    model = ModelFile(path=Path("x"), format="onnx", precision="fp32", contract=contract())
    runtime = SimpleNamespace(name=title, title=title)
    return Contestant(title, model, runtime, session, 0.0)


FAST = BenchOptions(rounds=4, seconds=0.02, warmup=0.02)
IMAGES = np.arange(64 * 4, dtype=np.uint8).reshape(64, 2, 2, 1)


def test_percentiles_are_of_the_calls_and_ordered():
    (result,) = benchmark([contestant(Waiting(0.001))], IMAGES, FAST)
    assert 1.0 <= result.p50 <= result.p90 <= result.p99
    assert result.images_per_second == pytest.approx(1000 / result.p50)
    assert result.speedup == 1.0
    assert len(result.round_medians) == 4
    assert result.model == str(Path("x").absolute())
    assert any("p99 rests on" in warning for warning in result.warnings)


def test_the_first_contestant_is_the_baseline():
    slow, fast = benchmark(
        [contestant(Waiting(0.002)), contestant(Waiting(0.0005), "fast")], IMAGES, FAST
    )
    assert slow.speedup == 1.0
    low, high = fast.speedup_range
    assert low <= fast.speedup <= high
    assert fast.speedup == pytest.approx(4.0, rel=0.01)


def test_contestants_take_turns_in_every_round():
    log: list[str] = []
    benchmark([contestant(Waiting(0.0001, log, name)) for name in "abc"], IMAGES, FAST)
    turns = [name for name, before in zip(log, [None, *log], strict=False) if name != before]
    measured = turns[3:]  # after each one's warm-up
    assert all(measured.count(name) >= 3 for name in "abc")
    assert len(set(map(tuple, np.array_split(measured[:12], 4)))) > 1


def test_everyone_gets_the_same_different_images():
    sessions = [Waiting(0.0001), Waiting(0.0001)]
    benchmark([contestant(session) for session in sessions], IMAGES, FAST)
    assert sessions[0].seen == sessions[1].seen
    assert len(sessions[0].seen) == 8


def test_a_batch_is_counted_in_images():
    options = BenchOptions(batch=16, rounds=2, seconds=0.02, warmup=0.01)
    (result,) = benchmark([contestant(Waiting(0.001))], IMAGES, options)
    assert result.images_per_second == pytest.approx(16_000 / result.p50)


def test_drift_over_the_rounds_is_reported():
    class Slowing(Waiting):
        def infer(self, inputs):
            self.seconds *= 1.02
            return super().infer(inputs)

    (result,) = benchmark(
        [contestant(Slowing(0.0005))], IMAGES, BenchOptions(rounds=6, seconds=0.02, warmup=0.01)
    )
    assert any("drifted by +" in warning for warning in result.warnings)
