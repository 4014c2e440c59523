"""What the console of Windows must be told before it acts as terminals do elsewhere."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from typing import Any

OUTPUTS = (-11, -12)  # stdout, stderr
ESCAPES = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING
CLOSED = 2  # CTRL_CLOSE_EVENT
PATIENCE = 30.0  # seconds: Windows ends a program that is closed after five

_heard: list[Any] = []  # the system calls it: it must not be collected


def takes_escapes() -> bool:
    """Whether what is printed may have colours, after a plain console was asked to take them.

    https://learn.microsoft.com/windows/console/setconsolemode
    """
    if sys.platform != "win32":
        return True
    import ctypes

    kernel = ctypes.WinDLL("kernel32")
    kernel.GetStdHandle.restype = ctypes.c_void_p
    taken = True
    for number in OUTPUTS:
        handle, mode = ctypes.c_void_p(kernel.GetStdHandle(number)), ctypes.c_ulong()
        if kernel.GetConsoleMode(handle, ctypes.byref(mode)):  # else it was redirected
            taken &= bool(kernel.SetConsoleMode(handle, mode.value | ESCAPES))
    return taken


def hear_closing() -> None:
    """Make the closing of the window a signal to stop, with time for what saves on one.

    Python's own handler returns at once, and so ends the program.
    https://learn.microsoft.com/windows/console/handlerroutine
    """
    if sys.platform != "win32":
        return
    import _thread
    import ctypes

    @ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)
    def closing(event: int) -> int:
        if event != CLOSED:
            return 0
        _thread.interrupt_main(signal.SIGBREAK)
        time.sleep(PATIENCE)  # the program ends meanwhile, by itself or by Windows
        return 1

    with suppress(OSError):
        if ctypes.WinDLL("kernel32").SetConsoleCtrlHandler(closing, 1):
            _heard.append(closing)
