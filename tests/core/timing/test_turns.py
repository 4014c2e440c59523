"""Warming up, and one turn, on a clock that only calls move."""

from __future__ import annotations

import pytest

from cnnreg.timing.turns import PATIENCE, SETTLE, SETTLE_CALLS, turn, warm_up
from slow_sessions import Clock, Slowing, Waiting


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("cnnreg.timing.turns.perf_counter", clock)
    return clock


def test_warming_up_ends_when_the_times_stand_still_or_patience_ends(clock):
    assert warm_up(Waiting(clock, 0.001), [b""], 1.0) == (pytest.approx(1.0, rel=0.01), True)
    assert clock.now == pytest.approx(1.2, abs=0.1)
    _, steady = warm_up(Slowing(clock, 0.001), [b""], 0.1)
    assert not steady
    assert clock.now > 1.2 + 0.1 * PATIENCE


@pytest.mark.parametrize("seconds", [0.9, 3.0, 20.0])
def test_slow_engines_are_looked_at_too(clock, seconds):
    first, steady = warm_up(Waiting(clock, seconds), [b""], 1.0)
    assert (first, steady) == (pytest.approx(1000 * seconds), True)


def test_no_warm_up_is_the_first_call_alone(clock):
    log = []
    assert warm_up(Waiting(clock, 0.5, log), [b""], 0) == (pytest.approx(500), True)
    assert len(log) == 1


@pytest.mark.parametrize("seconds", [0.001, 1.0])
def test_a_turn_begins_after_a_time_and_some_calls(clock, seconds):
    log = []
    times = turn(Waiting(clock, seconds, log), [b""], 5 * seconds)
    uncounted = len(log) - len(times)
    assert uncounted >= SETTLE_CALLS
    assert uncounted * seconds >= SETTLE
