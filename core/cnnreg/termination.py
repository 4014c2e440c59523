"""Signals to stop where nothing is to be saved first: what was begun is cleaned away, at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from .errors import StoppedError

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # POSIX lacks the last, Windows the third
BY_USER = (signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT))


def heard() -> list[signal.Signals]:
    """The signals to stop; one that is ignored, as nohup asks for, stays ignored."""
    known = (getattr(signal, name, None) for name in NAMES)
    return [n for n in known if n is not None and signal.getsignal(n) is not signal.SIG_IGN]


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

    They, Ctrl-C and Ctrl-Break are remembered: whoever drops what they raise is stopped
    nevertheless.
    """

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        _Asked.stop = KeyboardInterrupt if number in BY_USER else Terminated
        raise _Asked.stop

    previous, before = {}, _Asked.stop
    if threading.current_thread() is threading.main_thread():
        _Asked.stop = None
        for number in heard():
            previous[number] = signal.signal(number, stop)
    try:
        yield
        stop_if_asked()  # while a destructor ran, say, where Python drops what is raised
    except StoppedError:  # it tells of the signal already, and of more
        raise
    except Exception:
        stop_if_asked()
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if threading.current_thread() is threading.main_thread():
            _Asked.stop = before
