"""Keeping a laptop from falling asleep over its work."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from cnnreg.files import WINDOWS

# Of winbase.h: from now on; the system, not the screen.
CONTINUOUS, SYSTEM_REQUIRED = 0x80000000, 0x00000001


@contextmanager
def awake() -> Iterator[None]:
    """Windows counts keys and the mouse, not work, and sleeps in the middle of it.

    A closed lid or an empty battery still sends it to sleep. Elsewhere nothing is done: a
    system there asks for no such promise, or has a command for it (`systemd-inhibit`,
    `caffeinate`).
    """
    if not WINDOWS:
        yield
        return
    tell = ctypes.windll.kernel32.SetThreadExecutionState  # type: ignore[attr-defined]
    tell(CONTINUOUS | SYSTEM_REQUIRED)
    try:
        yield
    finally:
        tell(CONTINUOUS)
