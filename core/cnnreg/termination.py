"""Signals to stop where nothing is to be saved first: what was begun is cleaned away, at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """The system asked to stop. No Exception, which others take for a failure of theirs."""

    exit_code = 143


class _Asked:
    """What the signals raise that came since `terminable` began."""

    stop: type[KeyboardInterrupt] | None = None


def stop_if_asked() -> None:
    """For who goes on after an error: a library may have made it of the signal to stop."""
    if _Asked.stop:
        raise _Asked.stop


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Terminated in here, so that what cleans up is run.

    They and Ctrl-C are remembered: whoever drops what they raise is stopped nevertheless.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _Asked.stop = KeyboardInterrupt if number == signal.SIGINT else Terminated
        raise _Asked.stop

    previous, before = {}, _Asked.stop
    if threading.current_thread() is threading.main_thread():
        _Asked.stop = None
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, stop)
    try:
        yield
        stop_if_asked()  # while a destructor ran, say, where Python drops what is raised
    except Exception:
        stop_if_asked()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if threading.current_thread() is threading.main_thread():
            _Asked.stop = before
