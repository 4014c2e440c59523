"""The latency method, on sessions whose speed is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cnnreg.errors import MachineError, PluginError
from cnnreg.specs import ModelFile
from cnnreg.timing.bench import BenchOptions, Contestant, benchmark
from cnnreg.timing.turns import SETTLE
from helpers import contract
from slow_sessions import Clock, Failing, Slowing, Waiting


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("cnnreg.timing.turns.perf_counter", clock)
    return clock


def contestant(session, title="slow"):
    model = ModelFile(path=Path("x"), format="onnx", precision="fp32", contract=contract())
    runtime = SimpleNamespace(name=title, title=title)
    return Contestant(title, model, runtime, session, 0.0)


FAST = BenchOptions(rounds=4, seconds=0.02, warmup=0.02)
IMAGES = np.arange(64 * 4, dtype=np.uint8).reshape(64, 2, 2, 1)


def test_percentiles_are_of_the_calls_and_ordered(clock):
    (result,) = benchmark([contestant(Waiting(clock, 0.001))], IMAGES, FAST)
    assert 1.0 <= result.p50 <= result.p90 <= result.p99
    assert result.images_per_second == pytest.approx(1000 / result.p50)
    assert result.speedup == 1.0
    assert len(result.round_medians) == 4
    assert result.model == str(Path("x").absolute())
    assert any("p99 rests on" in warning for warning in result.warnings)


def test_the_first_contestant_is_the_baseline(clock):
    slow, fast = benchmark(
        [contestant(Waiting(clock, 0.002)), contestant(Waiting(clock, 0.0005), "fast")],
        IMAGES,
        FAST,
    )
    assert slow.speedup == 1.0
    low, high = fast.speedup_range
    assert low <= fast.speedup <= high
    assert fast.speedup == pytest.approx(4.0, rel=0.01)


def test_contestants_take_turns_in_every_round(clock):
    log: list[str] = []
    benchmark([contestant(Waiting(clock, 0.0001, log, name)) for name in "abc"], IMAGES, FAST)
    turns = [name for name, before in zip(log, [None, *log], strict=False) if name != before]
    measured = turns[3:]  # after each one's warm-up
    assert all(measured.count(name) >= 3 for name in "abc")
    assert len(set(map(tuple, np.array_split(measured[:12], 4)))) > 1


def test_everyone_gets_the_same_different_images(clock):
    sessions = [Waiting(clock, 0.0001), Waiting(clock, 0.0001)]
    benchmark([contestant(session) for session in sessions], IMAGES, FAST)
    assert sessions[0].seen == sessions[1].seen
    assert len(sessions[0].seen) == 8


def test_inputs_do_not_fill_the_memory(clock, monkeypatch):
    monkeypatch.setattr("cnnreg.timing.bench.INPUT_BYTES", 4 * 3 * IMAGES[:2].nbytes)
    for batch, count in ((2, 3), (32, 1)):
        session = Waiting(clock, 0.0001)
        benchmark([contestant(session)], IMAGES, replace(FAST, batch=batch))
        assert len(session.seen) == count


def test_a_batch_is_counted_in_images(clock):
    options = BenchOptions(batch=16, rounds=2, seconds=0.02, warmup=0.01)
    (result,) = benchmark([contestant(Waiting(clock, 0.001))], IMAGES, options)
    assert result.images_per_second == pytest.approx(16_000 / result.p50)


def test_drift_over_the_rounds_is_reported(clock):
    (result,) = benchmark(
        [contestant(Slowing(clock, 0.0005))],
        IMAGES,
        BenchOptions(rounds=6, seconds=0.02, warmup=0.01),
    )
    assert any("drifted by +" in warning for warning in result.warnings)


def test_what_the_one_before_left_running_is_not_counted(clock):
    """Its threads spin on for 0.2 s, as torch's do on Windows."""
    busy = {"by": None, "until": 0.0}

    class Spinning(Waiting):
        def infer(self, inputs):
            mine = busy["by"] in (self, None)
            if not mine and clock.now < busy["until"]:
                clock.now += 0.01
                return super().infer(inputs)
            busy.update(by=self, until=clock.now + 0.2)
            return super().infer(inputs)

    options = BenchOptions(rounds=6, seconds=0.3, warmup=0.02)
    sessions = [Spinning(clock, 0.0035), Spinning(clock, 0.0035)]
    for result in benchmark([contestant(session) for session in sessions], IMAGES, options):
        assert result.p99 < 4
        assert result.mean < 4


def test_a_device_that_fails_in_use_costs_its_own_contestant_alone(clock, capsys):
    lost = Failing(clock, 0.001)
    entries = [contestant(Waiting(clock, 0.001)), contestant(lost, "lost")]
    entries.append(contestant(Waiting(clock, 0.0005), "fast"))
    slow, error, fast = benchmark(entries, IMAGES, FAST, note=print)
    assert (slow.speedup, fast.speedup) == (1.0, pytest.approx(2.0, rel=0.01))
    assert len(fast.round_medians) == FAST.rounds
    assert str(error) == "The driver was reset."
    told = capsys.readouterr().out
    assert told == "lost is left out from here on: The driver was reset.\n"
    assert lost.calls == 501  # it is not called again


@pytest.mark.parametrize("method", ["prepare", "infer", "describe"])
def test_an_engine_that_fails_in_use_costs_its_own_contestant_alone(clock, method):
    broken = Waiting(clock, 0.001)
    setattr(broken, method, lambda *arguments: 1 // 0)
    outcomes = benchmark([contestant(Waiting(clock, 0.001)), contestant(broken)], IMAGES, FAST)
    assert outcomes[0].speedup == 1.0
    assert isinstance(outcomes[1], PluginError)
    assert "failed: ZeroDivisionError" in outcomes[1].what
    with pytest.raises(PluginError):
        benchmark([contestant(broken)], IMAGES, FAST)


def test_without_a_baseline_there_is_nothing_to_compare_with(clock):
    entries = [contestant(Failing(clock, 0.001)), contestant(Waiting(clock, 0.001))]
    with pytest.raises(MachineError, match="was reset"):
        benchmark(entries, IMAGES, FAST)


def test_a_warm_up_that_never_gets_steady_is_said(clock):
    entries = [contestant(Slowing(clock, 0.0005)), contestant(Waiting(clock, 0.0005))]
    slowing, steady = benchmark(entries, IMAGES, FAST)
    told = "its times never stood still in warm-up"
    assert told in slowing.warnings
    assert told not in steady.warnings


@pytest.mark.parametrize(("pause", "told"), [(30.0, True), (0.5, False)])
def test_a_lid_that_was_closed_meanwhile_is_said(clock, pause, told):
    class Napping(Waiting):
        slept = False

        def infer(self, inputs):
            if not self.slept and clock.now > SETTLE + 0.2:
                self.slept = True
                clock.now += pause
            return super().infer(inputs)

    options = BenchOptions(rounds=1, seconds=0.2, warmup=0.02)
    (result,) = benchmark([contestant(Napping(clock, 0.004))], IMAGES, options)
    assert result.calls < 101  # so few that p99 holds the longest call
    assert any("slept" in warning for warning in result.warnings) == told
