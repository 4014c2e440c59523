"""The console of Windows, as its functions are documented; these tests run anywhere."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

import pytest

from cnnreg.cli import app, windows


class Kernel:
    """Consoles by their handles, each with its mode; a handle without one is a file or a pipe."""

    def __init__(self, modes: dict[int, int], *, old: bool = False) -> None:
        self.modes, self.old = modes, old
        self.handlers: list[Any] = []
        self.GetStdHandle = lambda number: number + 100

        self.GetStdHandle.restype = None  # type: ignore[attr-defined]

    def GetConsoleMode(self, handle: Any, mode: Any) -> int:
        if handle.value not in self.modes:
            return 0
        mode._obj.value = self.modes[handle.value]
        return 1

    def SetConsoleMode(self, handle: Any, mode: int) -> int:
        if self.old and mode & windows.ESCAPES:
            return 0
        self.modes[handle.value] = mode
        return 1

    def SetConsoleCtrlHandler(self, handler: Any, add: int) -> int:
        self.handlers.append(handler)
        return add


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    def install(kernel: Kernel) -> Kernel:
        monkeypatch.setattr(ctypes, "WinDLL", lambda name: kernel, raising=False)
        monkeypatch.setattr(ctypes, "WINFUNCTYPE", lambda *kinds: lambda own: own, raising=False)
        monkeypatch.setattr(sys, "platform", "win32")
        return kernel

    return install


def test_elsewhere_a_terminal_takes_colours():
    assert windows.takes_escapes()
    windows.hear_closing()


def test_a_plain_console_is_asked_to_take_colours(install):
    kernel = install(Kernel({100 - 11: 3, 100 - 12: 3}))
    assert windows.takes_escapes()
    assert set(kernel.modes.values()) == {3 | windows.ESCAPES}


def test_what_was_redirected_is_left_alone(install):
    kernel = install(Kernel({100 - 12: 3}))
    assert windows.takes_escapes()
    assert kernel.modes == {100 - 12: 3 | windows.ESCAPES}


def test_an_old_console_is_given_none(install, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert app.color() is None
    install(Kernel({100 - 11: 3, 100 - 12: 3}, old=True))
    assert not windows.takes_escapes()
    assert app.color() is False


def test_closing_the_window_is_a_signal_and_waits_for_what_it_begins(install, monkeypatch):
    slept: list[float] = []
    heard: list[int] = []
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGTERM, raising=False)
    monkeypatch.setattr(windows.time, "sleep", slept.append)
    kernel = install(Kernel({}))
    windows.hear_closing()
    (handler,) = kernel.handlers
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        assert handler(0) == 0  # Ctrl-C is Python's own
        assert handler(windows.CLOSED) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (heard, slept) == ([signal.SIGTERM], [windows.PATIENCE])
