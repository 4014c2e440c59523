"""A signal to stop raises what cleans up, and nobody takes it for an error."""

from __future__ import annotations

import signal
import threading

import pytest

from cnnreg import termination
from cnnreg.termination import Terminated, stop_if_asked, terminable

NAMES = {"SIGINT": KeyboardInterrupt, "SIGTERM": Terminated, "SIGHUP": Terminated}
SIGNALS = [(getattr(signal, name), NAMES[name]) for name in NAMES if hasattr(signal, name)]
every_signal = pytest.mark.parametrize("number, raised", SIGNALS)


@every_signal
def test_a_signal_raises_and_the_handler_is_put_back(number, raised):
    before = signal.getsignal(number)
    with pytest.raises(raised) as caught, terminable():
        try:
            signal.raise_signal(number)
        except Exception:
            pytest.fail("taken for an error")
    assert caught.type is raised
    assert signal.getsignal(number) is before


@every_signal
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_drops_stops_at_the_end(number, raised):
    class Careless:
        def __del__(self):
            signal.raise_signal(number)

    with pytest.raises(raised), terminable():
        Careless()


@every_signal
def test_one_that_a_library_makes_an_error_of_stops_all_the_same(number, raised):
    def careless():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as stop:
            raise RuntimeError("conversion failed") from stop

    with pytest.raises(raised) as caught, terminable():
        careless()
    assert caught.type is raised


def test_what_was_asked_before_is_forgotten():
    with pytest.raises(KeyboardInterrupt), terminable():
        signal.raise_signal(signal.SIGINT)
    stop_if_asked()
    with terminable():
        stop_if_asked()


def test_an_error_without_a_signal_stays_one():
    with pytest.raises(RuntimeError, match="conversion failed"), terminable():
        raise RuntimeError("conversion failed")


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_than_the_main_one_sets_no_handlers():
    seen = []

    def work():
        with terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the stand-in is of POSIX")
def test_ctrl_break_of_windows_is_the_users(monkeypatch):
    """Where there is none, another signal stands in for it."""
    monkeypatch.setattr(termination, "NAMES", ("SIGUSR1",))
    monkeypatch.setattr(termination, "BY_USER", (signal.SIGUSR1,))
    with pytest.raises(KeyboardInterrupt) as caught, terminable():
        signal.raise_signal(signal.SIGUSR1)
    assert caught.type is KeyboardInterrupt
