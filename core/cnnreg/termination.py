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


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and SIGHUP raise Terminated in here, so that what cleans up is run.

    They and Ctrl-C are remembered: whoever drops what they raise is stopped nevertheless.
    """
    asked: type[KeyboardInterrupt] | None = None

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        nonlocal asked
        asked = KeyboardInterrupt if number == signal.SIGINT else Terminated
        raise asked

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, stop)
    try:
        yield
        if asked:  # while a destructor ran, say, where Python drops what is raised
            raise asked
    except Exception as error:
        if asked:  # inside a library that made an error of its own of it
            raise asked from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
