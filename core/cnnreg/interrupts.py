"""SIGTERM that unwinds as Ctrl-C does: nothing half-made stays behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from .errors import StoppedError


class _TerminatedError(KeyboardInterrupt):
    """No Exception: what handles those, a converter's say, shall not stop it."""


@contextmanager
def terminable() -> Iterator[None]:
    """Raises StoppedError, with exit code 143, where SIGTERM comes inside."""
    before = signal.getsignal(signal.SIGTERM)
    ours = threading.current_thread() is threading.main_thread() and before is signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except _TerminatedError as error:
        raise StoppedError("Stopped; what was saved before is whole.", by_user=False) from error
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _TerminatedError
