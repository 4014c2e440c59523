"""SIGTERM raises what cleans up, and nobody takes it for an error."""

from __future__ import annotations

import signal
import threading

import pytest

from cnnreg.termination import Terminated, terminable

NUMBERS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_raises_and_the_handler_is_put_back(number):
    before = signal.getsignal(number)
    with pytest.raises(Terminated), terminable():
        try:
            signal.raise_signal(number)
        except Exception:
            pytest.fail("taken for an error")
    assert signal.getsignal(number) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_python_drops_stops_at_the_end():
    class Careless:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated), terminable():
        Careless()


def test_one_that_a_library_makes_an_error_of_stops_all_the_same():
    def careless():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            raise RuntimeError("conversion failed") from stop

    with pytest.raises(Terminated), terminable():
        careless()


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
