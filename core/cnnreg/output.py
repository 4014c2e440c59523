"""Standard output is for results: what plugins and libraries print goes to stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class _Quiet:
    """Who wants stdout kept free, and what it is for the others."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.stdout = sys.stdout


_quiet = _Quiet()


@contextmanager
def quiet_stdout() -> Iterator[None]:
    """What a plugin prints goes to stderr: stdout is for results.

    For the whole process, until the last of those who asked for it has left, whatever their
    order: threads that train side by side leave stdout as they found it.
    """
    with _quiet.lock:
        if not _quiet.count:
            _quiet.stdout, sys.stdout = sys.stdout, sys.stderr
        _quiet.count += 1
    try:
        yield
    finally:
        with _quiet.lock:
            _quiet.count -= 1
            if not _quiet.count:
                sys.stdout = _quiet.stdout


def results_stdout() -> TextIO:
    """Where results go, whoever keeps stdout free of anything else."""
    return _quiet.stdout if _quiet.count else sys.stdout
