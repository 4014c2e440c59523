"""Stop requests: which signals are taken, and which are left alone."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from cnnreg.errors import CnnregError, DivergedError, StoppedError
from cnnreg.termination import Terminated
from cnnreg.training.stopping import StopRequest


@pytest.mark.parametrize(("name", "by_user"), [("SIGINT", True), ("SIGTERM", False)])
def test_the_first_signal_asks_and_the_handlers_come_back(name, by_user):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert stop.by_user is by_user
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("how", ["ended", "diverged", "stopped"])
def test_the_request_around_hears_of_it_however_the_training_ends(how):
    """A comparison has one around those of its trainings."""
    ends = {"ended": None, "diverged": DivergedError(""), "stopped": StoppedError("", by_user=True)}
    with StopRequest() as around:
        with suppress(CnnregError), StopRequest():
            signal.raise_signal(signal.SIGINT)
            if ends[how]:
                raise ends[how]
        assert around
        assert signal.getsignal(signal.SIGINT) == around._handle


def test_a_signal_within_is_heard_around_it_and_one_before_it_within():
    with StopRequest() as around:
        with StopRequest() as within:
            signal.raise_signal(signal.SIGTERM)
        assert (around.signal_number, within.signal_number) == (signal.SIGTERM, signal.SIGTERM)
        with StopRequest() as later:
            assert later
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("second", "raised"), [("SIGINT", KeyboardInterrupt), ("SIGTERM", Terminated)]
)
def test_a_second_signal_interrupts_and_tells_who_sent_it(second, raised):
    with StopRequest(), pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(getattr(signal, second))
    assert caught.type is raised


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert not stop
    finally:
        signal.signal(signal.SIGTERM, before)
